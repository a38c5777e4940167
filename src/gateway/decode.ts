import type { IncomingHttpHeaders } from 'node:http'
import type { Transform } from 'node:stream'
import zlib from 'node:zlib'
import type { BodySink, Flow } from './forward.ts'

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: () => zlib.createGunzip(),
  'x-gzip': () => zlib.createGunzip(),
  deflate: () => zlib.createInflate(),
  br: () => zlib.createBrotliDecompress(),
  zstd: () => zlib.createZstdDecompress(),
}

/** null = the body is as it is, or encoded in a way that is not known. */
export const decoderOf = (headers: IncomingHttpHeaders): (() => Transform) | null =>
  DECODERS[headers['content-encoding']?.trim().toLowerCase() ?? ''] ?? null

/** Work that the decoder sets off: nobody else would take a fault of the sink. */
const orTell =
  (tell: (fault: Error) => void) =>
  (work: () => void): void => {
    try {
      work()
    } catch (error) {
      tell(error instanceof Error ? error : new Error('decoded answer'))
    }
  }

/**
 * Decodes an answer that comes compressed although `identity` was asked for: the meter reads what
 * the client gets, and that is the plain body, without its content-encoding. Never more than one
 * chunk is decoded ahead of who takes it, so a bomb grows no buffer but its own. A body that ends
 * too early or is no such encoding broke off.
 */
export function decoding(
  makeDecoder: () => Transform,
  flow: Flow,
  makeSink: (flow: Flow) => BodySink,
): BodySink {
  const decoder = makeDecoder()
  let isOver = false
  let isEmpty = true
  const sink = makeSink({
    pause: () => {
      decoder.pause()
    },
    resume: () => {
      decoder.resume()
    },
    abort: flow.abort,
  })
  const breakOff = (error: Error): void => {
    isOver = true
    decoder.destroy()
    flow.abort()
    sink.fail(error)
  }
  const fail = (error: Error): void => {
    if (!isOver) breakOff(error)
  }
  const safely = orTell(breakOff)
  decoder.on('data', (chunk: Buffer) => {
    if (isOver) return
    safely(() => {
      sink.data(chunk)
    })
  })
  decoder.on('drain', flow.resume)
  decoder.on('error', fail)
  decoder.on('end', () => {
    if (isOver) return
    isOver = true
    safely(() => {
      sink.end()
    })
  })
  return {
    data(chunk) {
      isEmpty = false
      if (!isOver && !decoder.write(chunk)) flow.pause()
    },
    end() {
      if (!isEmpty) decoder.end()
      else sink.end()
    },
    fail,
  }
}
