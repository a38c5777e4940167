import { randomBytes } from 'node:crypto'
import zlib from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decoderOf, decoding } from '../../src/gateway/answers/decode.ts'
import type { BodySink, Flow } from '../../src/gateway/forward.ts'
import { until } from '../support/until.ts'

const ENCODERS: Readonly<Record<string, (plain: Buffer) => Buffer>> = {
  gzip: (plain) => zlib.gzipSync(plain),
  deflate: (plain) => zlib.deflateSync(plain),
  br: (plain) => zlib.brotliCompressSync(plain),
  zstd: (plain) => zlib.zstdCompressSync(plain),
}

const unexpected = (fault: Error): void => {
  throw fault
}
const NO_FAULTS = { faulty: unexpected, broken: unexpected }

/** A sink that keeps what it is given, behind a decoder. */
function open(encoding: string, onData: (flow: Flow) => void = () => undefined) {
  const makeDecoder = decoderOf({ 'content-encoding': encoding })
  if (makeDecoder === null) throw new Error(encoding)
  const seen = { bytes: 0, parts: [] as Buffer[], ended: 0, failed: 0, aborted: 0, paused: false }
  const flow: Flow = {
    pause: () => {
      seen.paused = true
    },
    resume: () => {
      seen.paused = false
    },
    abort: () => {
      seen.aborted += 1
    },
  }
  const makeSink = (inner: Flow): BodySink => ({
    data(chunk) {
      seen.bytes += chunk.length
      seen.parts.push(chunk)
      onData(inner)
    },
    end: () => {
      seen.ended += 1
    },
    fail: () => {
      seen.failed += 1
    },
  })
  return { sink: decoding(makeDecoder, flow, makeSink, NO_FAULTS), seen }
}

describe('an answer that comes compressed', () => {
  /** What is told of a sink that breaks, behind a decoder that is given a whole body. */
  async function toldOf(
    parts: Partial<BodySink>,
    body = zlib.gzipSync(randomBytes(100)),
  ): Promise<string[]> {
    const makeDecoder = decoderOf({ 'content-encoding': 'gzip' })
    if (makeDecoder === null) throw new Error('gzip')
    const heard: string[] = []
    const flow = { pause: () => undefined, resume: () => undefined, abort: () => undefined }
    const plain = {
      data: () => undefined,
      end: () => undefined,
      fail: (error: Error) => void heard.push(`failed: ${error.message}`),
    }
    const sink = decoding(makeDecoder, flow, () => ({ ...plain, ...parts }), {
      faulty: (fault) => heard.push(`faulty: ${fault.message}`),
      broken: (fault) => heard.push(`broken: ${fault.message}`),
    })
    sink.data(body)
    sink.end()
    await until(() => heard.some((each) => !each.startsWith('faulty')))
    sink.fail(new Error('too late'))
    return heard
  }
  const throwing = (what: string) => (): never => {
    throw new Error(what)
  }

  it.each(['data', 'end'] as const)(
    'breaks off where its sink breaks at its %s, and tells it once',
    async (at) => {
      const heard = await toldOf({ [at]: throwing(at) })
      expect(heard).toEqual([`faulty: ${at}`, `failed: ${at}`])
    },
  )

  it('ends its request where its sink cannot even fail', async () => {
    const heard = await toldOf({ data: throwing('data'), fail: throwing('fail') })
    expect(heard).toEqual(['faulty: data', 'broken: fail'])
  })

  it('ends its request where its sink cannot fail of what is no such encoding', async () => {
    const heard = await toldOf({ fail: throwing('fail') }, Buffer.from('plain'))
    expect(heard).toEqual(['broken: fail'])
  })

  it.each(Object.keys(ENCODERS))('is read plain, wherever it is cut: %s', async (encoding) => {
    const anyBody = fc.uint8Array({ minLength: 1, maxLength: 2_000 })
    const property = async (body: Uint8Array, size: number): Promise<void> => {
      const plain = Buffer.from(body)
      const coded = ENCODERS[encoding]?.(plain) ?? plain
      const { sink, seen } = open(encoding)
      for (let at = 0; at < coded.length; at += size) sink.data(coded.subarray(at, at + size))
      sink.end()
      await until(() => seen.ended === 1)
      expect(Buffer.concat(seen.parts).equals(plain)).toBe(true)
      expect(seen).toMatchObject({ failed: 0, aborted: 0 })
    }
    const sizes = fc.integer({ min: 1, max: 3_000 })
    await fc.assert(fc.asyncProperty(anyBody, sizes, property), { numRuns: 25 })
  })

  it('breaks off where it is cut short or is not what it says, once', async () => {
    const coded = zlib.gzipSync(randomBytes(5_000))
    for (const body of [coded.subarray(0, 2_000), Buffer.from('{"plain":true}')]) {
      const { sink, seen } = open('gzip')
      sink.data(body)
      sink.end()
      await until(() => seen.failed === 1)
      sink.fail(new Error('later'))
      expect(seen).toMatchObject({ ended: 0, failed: 1, aborted: 1 })
    }
  })

  it('is nothing where it is empty', () => {
    const { sink, seen } = open('gzip')
    sink.end()
    expect(seen).toMatchObject({ bytes: 0, ended: 1, failed: 0 })
  })

  it('waits for who takes it, however much it grows', async () => {
    let resume = (): void => undefined
    let isSlow = true
    const { sink, seen } = open('gzip', (flow) => {
      if (isSlow) flow.pause()
      resume = flow.resume
    })
    const coded = zlib.gzipSync(Buffer.alloc(50_000_000))
    sink.data(coded)
    sink.end()
    await until(() => seen.bytes > 0)
    const first = seen.bytes
    await new Promise((resolve) => setImmediate(resolve))
    expect(seen.bytes).toBe(first)
    expect(first).toBeLessThan(1_000_000)
    isSlow = false
    resume()
    await until(() => seen.ended === 1)
    expect(seen.bytes).toBe(50_000_000)
  })

  it('is left alone where nobody knows the encoding', () => {
    for (const encoding of [undefined, 'identity', 'compress', 'gzip, br', 'toString']) {
      expect(decoderOf(encoding === undefined ? {} : { 'content-encoding': encoding })).toBeNull()
    }
  })
})
