import { afterAll, describe, expect, it } from 'vitest'
import { makeSoundReader } from '../../src/gateway/sound/sound-reader.ts'
import {
  AUDIO_QUEUE_MAX,
  AUDIO_READ_MS_MAX,
  AUDIO_WAIT_MS_MAX,
} from '../../src/kernel/limits/forms.ts'
import type { SoundReading } from '../../src/protocols/protocol.ts'
import { soundBound, soundLength } from '../../src/protocols/sound-length.ts'
import { makeManualClock, settle } from '../ledger/memory-clock.ts'
import { until } from '../support/until.ts'

/** Time passes only where a test lets it: a slow machine is no slow file. */
const clock = makeManualClock(0)
const reader = makeSoundReader({ clock })
afterAll(() => reader.close())

function wav(seconds: number, rate = 16_000): Buffer {
  const bytes = seconds * rate * 2
  const file = Buffer.alloc(44 + bytes)
  file.write('RIFF\0\0\0\0WAVEfmt ', 'latin1')
  file.writeUInt32LE(bytes + 36, 4)
  file.writeUInt32LE(16, 16)
  file.writeUInt16LE(1, 20)
  file.writeUInt16LE(1, 22)
  file.writeUInt32LE(rate, 24)
  file.writeUInt32LE(rate * 2, 28)
  file.writeUInt16LE(2, 32)
  file.writeUInt16LE(16, 34)
  file.write('data', 36)
  file.writeUInt32LE(bytes, 40)
  return file
}

/** Frames of MPEG-1 layer 3 at 128 kbit/s and 44.1 kHz. */
function mp3(frames: number): Buffer {
  const file = Buffer.alloc(frames * 417)
  for (let at = 0; at < file.length; at += 417) file.writeUInt32BE(0xfffb9000, at)
  return file
}

const exactly = (seconds: number): SoundReading => ({ kind: 'read', seconds, isExact: true })
const secondsOf = (reading: SoundReading): number =>
  reading.kind === 'read' ? reading.seconds : NaN
const asPart = (file: Buffer) => ({
  ...{ name: 'file', filename: 'f', data: file, bytes: file.length, at: 0 },
})
const saying = (reading: SoundReading) => ({ seconds: () => Promise.resolve(reading) })

/** An EBML element with a length of eight bytes. */
function element(id: string, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content)
  const length = Buffer.alloc(8)
  length.writeBigUInt64BE((1n << 56n) | BigInt(body.length))
  return Buffer.concat([Buffer.from(id, 'hex'), length, body])
}

/** WebM whose header says one second, with a track of pictures that is a lie. */
function film(bytes: number): Buffer {
  const one = Buffer.alloc(8)
  one.writeDoubleBE(1_000)
  const track = (number: number, type: number, codec: string) =>
    element(
      'ae',
      element('d7', Buffer.from([number])),
      element('83', Buffer.from([type])),
      element('86', Buffer.from(codec)),
    )
  return Buffer.concat([
    element('1a45dfa3', element('4282', Buffer.from('webm'))),
    element(
      '18538067',
      element('1549a966', element('2ad7b1', Buffer.from([0x0f, 0x42, 0x40])), element('4489', one)),
      element('1654ae6b', track(1, 1, 'V_VP8'), track(2, 2, 'A_OPUS')),
      element('ec', Buffer.alloc(bytes)),
    ),
  ])
}

describe('a file that keeps a reader busy', () => {
  const workerUrl = new URL('./sound-stand-in.ts', import.meta.url)
  const stuck = (): Uint8Array => new Uint8Array(1)
  const honest = (seconds: number): Uint8Array => new Uint8Array(seconds).fill(1)

  it('keeps no other one from being read, nor do two for longer than they may', async () => {
    const own = makeManualClock(0)
    const busy = makeSoundReader({ clock: own, workerUrl })
    const slow = [busy.seconds(stuck(), 'a')]
    expect(await busy.seconds(honest(7), 'a')).toEqual(exactly(7))
    slow.push(busy.seconds(stuck(), 'a'))
    const waiting = busy.seconds(honest(8), 'a')
    await own.pass(AUDIO_READ_MS_MAX)
    expect(await waiting).toEqual(exactly(8))
    await busy.close()
    expect(await Promise.all(slow)).toEqual([{ kind: 'not_read' }, { kind: 'not_read' }])
  })

  it('lets nobody wait for long where many come', async () => {
    const own = makeManualClock(0)
    const busy = makeSoundReader({ clock: own, workerUrl })
    const slow = Array.from({ length: 20 }, () => busy.seconds(stuck(), 'a'))
    const waiting = busy.seconds(honest(9), 'a')
    await own.pass(AUDIO_WAIT_MS_MAX)
    expect(await waiting).toEqual({ kind: 'not_read' })
    await busy.close()
    expect(new Set((await Promise.all(slow)).map(({ kind }) => kind))).toEqual(
      new Set(['not_read']),
    )
    expect(await busy.seconds(honest(1), 'a')).toEqual({ kind: 'not_read' })
  })
})

describe('the length of a sound', () => {
  it('is read from its file, whatever that is called', async () => {
    expect(await reader.seconds(wav(7), 'a')).toEqual(exactly(7))
    expect(await reader.seconds(mp3(300), 'a')).toMatchObject({ isExact: false })
    expect(secondsOf(await reader.seconds(mp3(300), 'a'))).toBeCloseTo(7.84, 1)
  })

  it('is no shorter than its bytes, whatever its headers say', async () => {
    const lying = wav(60)
    lying.writeUInt32LE(32_000, 40) // a second of data
    lying.writeUInt32LE(32_036, 4)
    expect(secondsOf(await reader.seconds(lying, 'a'))).toBeGreaterThan(50)
  })

  it('is no shorter than its bytes in a film either, and held by them', async () => {
    const lying = film(2_000_000)
    const reading = await reader.seconds(lying, 'a')
    expect(secondsOf(reading)).toBeGreaterThan(30)
    const { seconds, secondsMax } = (await soundLength(asPart(lying), saying(reading))) ?? {}
    expect([seconds, secondsMax]).toEqual([
      Math.ceil(secondsOf(reading) * 1_000) / 1_000,
      Math.ceil(lying.length / 2) / 1_000,
    ])
    expect(await soundLength(asPart(wav(3)), saying(exactly(3)))).toMatchObject({ secondsMax: 3 })
  })

  it('is not made up where nobody had the time to read it', async () => {
    expect(await soundLength(asPart(wav(1)), saying({ kind: 'not_read' }))).toBeNull()
  })

  it('is unknown for what is no sound, and for a file made to keep a reader busy', async () => {
    expect(await reader.seconds(Buffer.from('not a sound'), 'a')).toEqual({ kind: 'unreadable' })
    const id3 = Buffer.concat([
      Buffer.from('ID3\x04\0\0\0\0\0\0', 'latin1'),
      Buffer.alloc(4e6, 0xff),
    ])
    const busy = reader.seconds(id3, 'a')
    expect(await reader.seconds(wav(3), 'a')).toEqual(exactly(3))
    const read = await until(async () => {
      await clock.pass(AUDIO_READ_MS_MAX)
      return Promise.race([busy, settle().then(() => null)])
    })
    expect(read.kind).not.toBe('read')
    expect(await reader.seconds(wav(4), 'a')).toEqual(exactly(4))
  })

  it('is bounded by the head of a file and its size, never below what its whole tells', async () => {
    const plain = wav(60)
    const noted = (name: string): Buffer => {
      const note = Buffer.from(`${name}\x04\0\0\0\0\xa6\x0e\0`, 'latin1') // 960 000 samples
      return Buffer.concat([plain.subarray(0, 36), note, plain.subarray(36)])
    }
    const cases: [Buffer, number][] = [
      [plain, 60.002],
      [noted('LIST'), 60.003],
      [noted('fact'), plain.length / 500],
      [Buffer.concat([plain.subarray(0, 20), Buffer.from([3]), plain.subarray(21)]), 3_840],
      [mp3(300), 250.2],
      [plain.subarray(0, 30), 0.06],
    ]
    for (const [file, most] of cases) {
      const bound = soundBound(file.subarray(0, 4_096), file.length)
      expect(bound.secondsMax).toBeCloseTo(most, 0)
      const whole = await soundLength(asPart(file), saying(await reader.seconds(file, 'a')))
      expect(whole?.secondsMax).toBeLessThanOrEqual(bound.secondsMax)
    }
  })

  it('is read for so many at once only, and never for one account alone', async () => {
    const owners = [...Array.from({ length: 80 }, () => 'flood'), 'b', 'c', 'd']
    const all = await Promise.all(owners.map((owner) => reader.seconds(wav(1), owner)))
    expect(all.filter(({ kind }) => kind === 'read')).toHaveLength(AUDIO_QUEUE_MAX / 2 + 3)
    expect(all.slice(-3).map(({ kind }) => kind)).toEqual(['read', 'read', 'read'])
  })

  it('is held and charged by its size where it cannot be read', async () => {
    const nobody = saying({ kind: 'unreadable' })
    expect(await soundLength(asPart(Buffer.alloc(10_000)), nobody)).toEqual({
      seconds: 5,
      secondsMax: 20,
      isRead: false,
    })
  })
})
