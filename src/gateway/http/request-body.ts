import { Readable } from 'node:stream'
import { declaredBytes } from './reserve.ts'
import type { HttpExchange } from './exchange.ts'

class BodyTooLarge extends Error {
  override readonly name = 'BodyTooLarge'
}

/**
 * A request's body as it comes, counted and cut at the API's limit. The connection outlives it: a
 * refusal is still to be sent. null = there is no body.
 */
export function bodyOf(exchange: HttpExchange): Readable | null {
  if (declaredBytes(exchange) === undefined) return null
  return Readable.from(read(exchange), { objectMode: false })
}

async function* read({ request, api, sent }: HttpExchange): AsyncGenerator<Buffer> {
  try {
    const chunks: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false })
    for await (const chunk of chunks) {
      sent.bytes += chunk.length
      if (sent.bytes > api.requestBytesMax) {
        sent.failure = 'too_large'
        throw new BodyTooLarge(`more than ${api.requestBytesMax} bytes`)
      }
      yield chunk
    }
  } catch (error) {
    sent.failure ??= 'broken'
    throw error
  } finally {
    // What is left must be read all the same, or the connection's next request waits behind it.
    request.resume()
  }
}
