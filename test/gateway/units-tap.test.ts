import { randomBytes } from 'node:crypto'
import zlib from 'node:zlib'
import fc from 'fast-check'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import type { Flow } from '../../src/gateway/forward.ts'
import { Gathered } from '../../src/gateway/answers/gathered.ts'
import { makeGates } from '../../src/gateway/http/gates.ts'
import { makeUnitsTap } from '../../src/gateway/http/units-tap.ts'
import { makeBodyReader } from '../../src/gateway/reading/body-reader.ts'
import { ANSWER_METER_BYTES_MAX } from '../../src/kernel/limits/answers.ts'
import { LOOP_BYTES_MAX } from '../../src/kernel/limits/requests.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { makeRoom, makeShare } from '../../src/kernel/room.ts'
import type { Log } from '../../src/kernel/log.ts'
import { withoutMemory } from '../support/memory.ts'

const reader = makeBodyReader({ clock: systemClock })
afterAll(() => reader.close())

const ENCODERS: Readonly<Record<string, (plain: Buffer) => Buffer>> = {
  gzip: (plain) => zlib.gzipSync(plain),
  deflate: (plain) => zlib.deflateSync(plain),
  br: (plain) => zlib.brotliCompressSync(plain),
  zstd: (plain) => zlib.zstdCompressSync(plain),
}
const UNREAD = { named: null, isSure: false }

function flowOf(): Flow & { paused: boolean; pauses: number } {
  const flow = {
    paused: false,
    pauses: 0,
    pause: () => {
      flow.paused = true
      flow.pauses += 1
    },
    resume: () => {
      flow.paused = false
    },
    abort: () => undefined,
  }
  return flow
}

const told: string[] = []
const error: Log['error'] = ({ request_id, error }, message) =>
  told.push([request_id, message, error].join('; '))
const deps = { bodies: reader, log: { error } }
afterEach(() => {
  expect(told.splice(0)).toEqual([])
})

const asked = () => ({ id: 'one', bodyShare: makeShare(() => makeRoom(Infinity), 'a') })

function open(type: string, encoding?: string, flow: Flow = flowOf(), of = asked()) {
  const source = { kind: 'json' as const, path: ['n'] }
  const coded = encoding === undefined ? {} : { 'content-encoding': encoding }
  return makeUnitsTap(source, { 'content-type': type, ...coded }, flow, deps, of)
}

const pieces = (whole: Buffer, bytes: number): Buffer[] =>
  Array.from({ length: Math.ceil(whole.length / bytes) }, (_, at) =>
    whole.subarray(at * bytes, (at + 1) * bytes),
  )

describe.each(Object.keys(ENCODERS))('units of an answer that comes as %s', (encoding) => {
  const encode = (text: string): Buffer =>
    ENCODERS[encoding]?.(Buffer.from(text)) ?? Buffer.alloc(0)

  it('are those of its JSON, wherever it is cut', async () => {
    const property = async (n: number, filling: string, bytes: number): Promise<void> => {
      const tap = open('application/json', encoding)
      for (const piece of pieces(encode(JSON.stringify({ filling, n })), bytes)) tap.data(piece)
      expect(await tap.end(true)).toEqual({ named: n, isSure: true })
    }
    const args = [fc.nat(), fc.string(), fc.integer({ min: 1, max: 64 })] as const
    await fc.assert(fc.asyncProperty(...args, property), { numRuns: 30 })
  })

  it('are those of the last event that has them', async () => {
    const tap = open('text/event-stream', encoding)
    for (const piece of pieces(encode('data: {"n":3}\n\ndata: {"n":5}\n\ndata: x\n\n'), 7)) {
      tap.data(piece)
    }
    expect(await tap.end(true)).toEqual({ named: 5, isSure: true })
  })

  it('are not known where it is cut off, or is no such encoding', async () => {
    const coded = encode(JSON.stringify({ n: 4, filling: randomBytes(4_000).toString('hex') }))
    for (const wrong of [coded.subarray(0, coded.length / 2), Buffer.from('{"n":4}')]) {
      const tap = open('application/json', encoding)
      for (const piece of pieces(wrong, 100)) tap.data(piece)
      expect(await tap.end(true)).toEqual(UNREAD)
    }
    const left = open('application/json', encoding)
    left.data(coded)
    expect(await left.end(false)).toEqual(UNREAD)
    expect(await open('application/json', encoding).end(true)).toEqual(UNREAD)
  })
})

it('a fault of ours in what is decoded is told, and leaves the rest unread', async () => {
  vi.spyOn(Gathered.prototype, 'add').mockImplementation(() => {
    throw new Error('a fault of ours')
  })
  const tap = open('application/json', 'gzip')
  const filling = randomBytes(LOOP_BYTES_MAX).toString('hex')
  tap.data(zlib.gzipSync(JSON.stringify({ filling, n: 4 })))
  const named = await tap.end(true)
  vi.restoreAllMocks()
  expect(named).toEqual(UNREAD)
  expect(told.splice(0)).toEqual([
    'one; units of an answer could not be read; Error: a fault of ours',
  ])
})

it('a bomb is read no further than an answer may be large, and holds nothing up for good', async () => {
  const flow = flowOf()
  const tap = open('application/json', 'gzip', flow)
  const member = zlib.gzipSync(Buffer.alloc(1_000_000, 32))
  const bomb = Buffer.concat(Array.from({ length: 200 }, () => member))
  for (const piece of pieces(bomb, 16_000)) tap.data(piece)
  expect(await tap.end(true)).toEqual(UNREAD)
  expect(flow.pauses).toBeGreaterThan(0)
  expect(flow.paused).toBe(false)
})

it('an encoding that is not known is not read, nor is what is not asked for', async () => {
  const tap = open('application/json', 'compress')
  tap.data(Buffer.from('{"n":4}'))
  expect(await tap.end(true)).toEqual({ named: 4, isSure: true }) // it was none after all
  const none = makeUnitsTap(null, { 'content-encoding': 'gzip' }, flowOf(), deps, asked())
  none.data(Buffer.from('anything'))
  expect(await none.end(false)).toEqual({ named: 0, isSure: true })
})

it('a flow that several steer runs while none of them holds it back', () => {
  const flow = flowOf()
  const gate = makeGates(flow)
  const [one, two] = [gate(), gate()]
  one.pause()
  two.pause()
  one.resume()
  one.resume()
  expect(flow.paused).toBe(true)
  two.resume()
  expect(flow.paused).toBe(false)
})

describe('a large answer that is JSON', () => {
  const whole = (bytes: number): Buffer => {
    const rest = JSON.stringify({ filling: '', n: 5 }).length
    return Buffer.from(JSON.stringify({ filling: 'x'.repeat(bytes - rest), n: 5 }))
  }
  const read = (bytes: number, piece: number, of = asked()) => {
    const tap = open('application/json', undefined, flowOf(), of)
    const parse = vi.spyOn(JSON, 'parse')
    for (const each of pieces(whole(bytes), piece)) tap.data(each)
    return tap.end(true).then((named) => ({ named, parsedHere: parse.mock.calls.length > 0 }))
  }
  afterEach(() => {
    vi.restoreAllMocks()
    vi.unstubAllGlobals()
  })

  it.each([
    [LOOP_BYTES_MAX, 5, true],
    [LOOP_BYTES_MAX + 1, 5, false],
    [ANSWER_METER_BYTES_MAX, 5, false],
    [ANSWER_METER_BYTES_MAX + 1, null, false],
  ])('of %i bytes is read in a thread, or not at all', async (bytes, n, parsedHere) => {
    const expected = { named: { named: n, isSure: n !== null }, parsedHere }
    expect(await read(bytes, 65_536)).toEqual(expected)
    expect(await read(bytes, 3_000)).toEqual(expected)
  })

  it('is unread where there is no memory for it', async () => {
    withoutMemory()
    expect(await read(1_000_000, 65_536)).toEqual({ named: UNREAD, parsedHere: false })
  })

  it('is unread where others have what memory there is for such', async () => {
    const room = makeRoom(2_000_000)
    const of = { id: 'one', bodyShare: makeShare(() => room, 'a') }
    expect(await read(900_000, 65_536, of)).toMatchObject({ named: { named: 5 } })
    expect(room.taken).toBe(900_000)
    expect(await read(900_000, 65_536, of)).toEqual({ named: UNREAD, parsedHere: false })
    of.bodyShare.close()
    expect(room.taken).toBe(0)
  })
})
