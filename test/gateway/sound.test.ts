import { afterAll, describe, expect, it } from 'vitest'
import { makeSoundReader } from '../../src/gateway/sound/sound-reader.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { soundLength } from '../../src/protocols/sound-length.ts'

const reader = makeSoundReader({ clock: systemClock })
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

describe('the length of a sound', () => {
  it('is read from its file, whatever that is called', async () => {
    expect(await reader.seconds(wav(7))).toBe(7)
    expect(await reader.seconds(mp3(300))).toBeCloseTo(7.84, 1)
  })

  it('is no shorter than its bytes, whatever its headers say', async () => {
    const lying = wav(60)
    lying.writeUInt32LE(32_000, 40) // a second of data
    lying.writeUInt32LE(32_036, 4)
    expect(await reader.seconds(lying)).toBeGreaterThan(50)
  })

  it('is unknown for what is no sound, and for a file made to keep a reader busy', async () => {
    expect(await reader.seconds(Buffer.from('not a sound'))).toBeNull()
    const id3 = Buffer.concat([
      Buffer.from('ID3\x04\0\0\0\0\0\0', 'latin1'),
      Buffer.alloc(4e6, 0xff),
    ])
    expect(await reader.seconds(id3)).toBeNull()
    expect(await reader.seconds(wav(3))).toBe(3)
  }, 15_000)

  it('is read for so many at once only', async () => {
    const all = await Promise.all(Array.from({ length: 40 }, () => reader.seconds(wav(1))))
    expect(all.filter((seconds) => seconds === 1)).toHaveLength(32)
    expect(all.filter((seconds) => seconds === null)).toHaveLength(8)
  })

  it('is held and charged by its size where it cannot be read', async () => {
    const nobody = { seconds: () => Promise.resolve(null) }
    expect(await soundLength(Buffer.alloc(10_000), nobody)).toEqual({
      seconds: 5,
      secondsMax: 20,
      isRead: false,
    })
  })
})
