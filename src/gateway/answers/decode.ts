import type { IncomingHttpHeaders } from 'node:http'
import type { Transform } from 'node:stream'
import zlib from 'node:zlib'
import { faultOf, type BodySink, type Flow } from '../forward.ts'

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

function caught(work: () => void, take: (fault: Error) => void): void {
  try {
    work()
  } catch (error) {
    take(faultOf(error))
  }
}

/** Who hears of faults of ours, as of those amid other answers. */
interface Tell {
  /** One in the sink, whose `fail` is told of it next. */
  readonly faulty: (fault: Error) => void
  /** One where no sink takes it. */
  readonly broken: (fault: Error) => void
}

/**
 * Decodes an answer that comes compressed although `identity` was asked for: the meter reads what
 * the client gets, and that is the plain body, without its content-encoding. Never more than one
 * chunk is decoded ahead of who takes it, so a bomb grows no buffer but its own. A body that ends
 * too early or is no such encoding broke off. `tell` hears of faults in the sink that the decoder's
 * events set off: nobody else would take them.
 */
export function decoding(
  makeDecoder: () => Transform,
  flow: Flow,
  makeSink: (flow: Flow) => BodySink,
  tell: Tell,
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
  const fail = (error: Error): void => {
    if (isOver) return
    isOver = true
    decoder.destroy()
    flow.abort()
    caught(() => {
      sink.fail(error)
    }, tell.broken)
  }
  const safely = (work: () => void): void => {
    if (isOver) return
    caught(work, (fault) => {
      tell.faulty(fault)
      fail(fault)
    })
  }
  decoder.on('data', (chunk: Buffer) => {
    safely(() => {
      sink.data(chunk)
    })
  })
  decoder.on('drain', flow.resume)
  decoder.on('error', fail)
  decoder.on('end', () => {
    safely(() => {
      sink.end()
      isOver = true
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
