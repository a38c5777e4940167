import type { IncomingMessage } from 'node:http'
import { errorCodes, type FastifyRequest } from 'fastify'
import { LOOP_BYTES_MAX, TAKEN_TURN_BYTES } from '../kernel/limits-body.ts'
import { REQUEST_BODY_BYTES_MAX } from '../kernel/limits.ts'
import { SharedBytes } from '../kernel/shared-bytes.ts'

/** There is no memory for a large body now. */
export class NoMemoryForBody extends Error {
  override readonly name = 'NoMemoryForBody'
  readonly statusCode = 503
  readonly code = 'NO_MEMORY_FOR_BODY'
}

/**
 * Takes a body as it comes: a small one is one buffer, a large one is gathered where a thread can
 * read it, so that it is never copied whole. Fails as the framework's own readers of bodies do, and
 * with NoMemoryForBody.
 */
export function takeBody(
  { headers }: FastifyRequest,
  payload: IncomingMessage,
  done: (error: Error | null, body?: Buffer) => void,
): void {
  const declared = Number(headers['content-length'] ?? NaN)
  if (declared > REQUEST_BODY_BYTES_MAX) {
    done(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE())
    return
  }
  const chunks: Buffer[] = []
  let size = 0
  let large: SharedBytes | null = null
  let turnFrom = 0
  let isOver = false

  const end = (error: Error | null, body?: Buffer): void => {
    isOver = true
    payload.off('data', take).off('end', finish).off('error', fail)
    done(error, body)
  }
  const gather = (chunk: Buffer): void => {
    if (large === null) {
      large = SharedBytes.claim(Number.isNaN(declared) ? REQUEST_BODY_BYTES_MAX : declared)
      if (large === null) {
        end(new NoMemoryForBody())
        return
      }
      for (const earlier of chunks.splice(0)) large.add(earlier)
    }
    large.add(chunk)
    if (large.size - turnFrom < TAKEN_TURN_BYTES) return
    turnFrom = large.size
    payload.pause()
    setImmediate(() => {
      if (!isOver) payload.resume()
    })
  }
  function take(chunk: Buffer): void {
    size += chunk.length
    if (size > REQUEST_BODY_BYTES_MAX) end(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE())
    else if (size > LOOP_BYTES_MAX) gather(chunk)
    else chunks.push(chunk)
  }
  function finish(): void {
    if (!Number.isNaN(declared) && size !== declared) {
      end(new errorCodes.FST_ERR_CTP_INVALID_CONTENT_LENGTH())
    } else end(null, large?.bytes() ?? Buffer.concat(chunks, size))
  }
  function fail(error: Error): void {
    end(Object.assign(error, { statusCode: 400 }))
  }
  payload.on('data', take).on('end', finish).on('error', fail)
  payload.resume()
}
