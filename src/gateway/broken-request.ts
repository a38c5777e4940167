import type { Socket } from 'node:net'
import { refuse, type Refusal } from '../kernel/errors.ts'
import { envelope } from '../protocols/envelope.ts'

const TOO_LARGE = refuse('headers_too_large', 'The request line and headers are too large.')
const TOO_SLOW = refuse('request_timeout', 'The request did not arrive whole in time.')
const NOT_HTTP = refuse('invalid_request', 'This is not a valid HTTP request.')

function refusalOf(code: string | undefined): Refusal {
  if (code === 'HPE_HEADER_OVERFLOW') return TOO_LARGE
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? TOO_SLOW : NOT_HTTP
}

/**
 * Answers what the HTTP parser could not read, and closes: what follows on this connection cannot
 * be told apart any more. Without a path the envelope is OpenAI's. Source: providers.md §2.
 */
export function refuseBroken(
  error: Error & { readonly code?: string },
  socket: Socket,
  requestId: string,
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const { status, headers, body } = envelope('openai', refusalOf(error.code), requestId)
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  const length = `content-length: ${Buffer.byteLength(body)}`
  const head = [`HTTP/1.1 ${status} Refused`, ...lines, length, 'connection: close', '', ''].join(
    '\r\n',
  )
  socket.end(head + body, () => socket.destroy())
}
