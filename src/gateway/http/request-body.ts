import { Readable } from 'node:stream'
import type { IncomingMessage } from 'node:http'
import type { Refusal } from '../../kernel/errors.ts'
import { REQUEST_BODY_BYTES_MAX, SHORT_BODY_BYTES_MAX } from '../../kernel/limits/requests.ts'
import { REPEATED_BODY_BYTES_MAX } from '../../kernel/limits/upstreams.ts'
import type { Share } from '../../kernel/room.ts'
import { ENDED_EARLY, takeBody, tooLarge } from '../take-body.ts'
import { readOn } from '../read-on.ts'
import type { HttpArrival, HttpExchange, KeptBody } from './exchange.ts'

class BodyTooLarge extends Error {
  override readonly name = 'BodyTooLarge'
}

/** Length that the request declares; null = chunked, undefined = no body. */
export function declaredBytes({
  request,
}: Pick<HttpArrival, 'request'>): number | null | undefined {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  if (coding !== undefined) return null
  return length === undefined ? undefined : Number(length)
}

/**
 * A request's body as it comes, counted and cut at the API's limit, or as it was kept. The
 * connection outlives it: a refusal is still to be sent. null = there is no body.
 */
export function bodyOf(exchange: HttpExchange): Readable | Buffer | null {
  const { kept, request, api, sent } = exchange
  if (kept !== null) {
    sent.bytes = kept.length
    return kept
  }
  if (declaredBytes(exchange) === undefined) return null
  return Readable.from(read(request, api.requestBytesMax, sent), { objectMode: false })
}

async function* read(
  request: IncomingMessage,
  bytesMax: number,
  sent: HttpExchange['sent'],
): AsyncGenerator<Buffer> {
  try {
    const chunks: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false })
    for await (const chunk of chunks) {
      sent.bytes += chunk.length
      if (sent.bytes > bytesMax) {
        sent.failure = 'too_large'
        throw new BodyTooLarge(`more than ${bytesMax} bytes`)
      }
      yield chunk
    }
  } catch (error) {
    sent.failure ??= 'broken'
    throw error
  } finally {
    // What is left must be read all the same, or the connection's next request waits behind it.
    readOn(request)
  }
}

/** Why a body could not be read; null = it could. A failure of it is the client's. */
export function bodyRefusal(
  failure: HttpExchange['sent']['failure'],
  bytesMax: number,
): Refusal | null {
  switch (failure) {
    case 'too_large':
      return tooLarge(bytesMax)
    case 'broken':
      return ENDED_EARLY
    case null:
      return null
  }
}

/** Bytes up to which a body is read before anything is sent; 0 = it streams. */
function keptBytesMax(arrival: HttpArrival, isNamed: boolean): number {
  const { api } = arrival
  if (isNamed) return Math.min(api.requestBytesMax, REQUEST_BODY_BYTES_MAX)
  const declared = declaredBytes(arrival) ?? Infinity
  const bytesMax = api.fallbacks.length > 0 ? REPEATED_BODY_BYTES_MAX : SHORT_BODY_BYTES_MAX
  return declared <= bytesMax ? bytesMax : 0
}

/**
 * The body of a request with an idempotency key (`isNamed`) whole, and one of known length that is
 * short, or not long where it may go to a second API; null = it streams, or there is none. What is
 * kept counts in `share`.
 */
export async function keepBody(
  arrival: HttpArrival,
  isNamed: boolean,
  share: Share,
): Promise<{ readonly ok: true; readonly kept: KeptBody } | Refusal> {
  const bytesMax = keptBytesMax(arrival, isNamed)
  if (bytesMax === 0 || declaredBytes(arrival) === undefined) return { ok: true, kept: null }
  const body = await new Promise<Buffer | Refusal>((resolve) => {
    takeBody(arrival.request, { share, bytesMax }, resolve)
  })
  return Buffer.isBuffer(body) ? { ok: true, kept: body } : body
}
