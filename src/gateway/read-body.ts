import type { IncomingHttpHeaders } from 'node:http'
import { refuse, type Refusal } from '../kernel/errors.ts'
import type { Protocol, RequestView } from '../protocols/protocol.ts'

/** The one reading of a body: bytes → what the protocol sees in it, or why not. */
export function readBody(
  protocol: Protocol,
  raw: Buffer,
  headers: IncomingHttpHeaders,
): RequestView | Refusal {
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding !== '' && encoding.toLowerCase() !== 'identity') {
    return refuse(
      'unsupported_encoding',
      'Request bodies must not be compressed: remove the content-encoding header.',
    )
  }
  if (raw.length === 0) return refuse('invalid_json', 'The request body is empty; send JSON.')
  return protocol.readBytes(raw)
}
