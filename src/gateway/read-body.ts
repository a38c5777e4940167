import type { IncomingHttpHeaders } from 'node:http'
import { refuse, type Refusal } from '../kernel/errors.ts'
import type { Protocol, RequestView } from '../protocols/protocol.ts'

/** Bodies come as they are: nobody may make us unpack one. null = it is not packed. */
export function encodingRefusal({
  'content-encoding': encoding,
}: IncomingHttpHeaders): Refusal | null {
  if (encoding === undefined || encoding === '' || encoding.toLowerCase() === 'identity')
    return null
  return refuse(
    'unsupported_encoding',
    'Request bodies must not be compressed: remove the content-encoding header.',
  )
}

/** The one reading of a body: bytes → what the protocol sees in it, or why not. */
export function readBody(
  protocol: Protocol,
  raw: Buffer,
  headers: IncomingHttpHeaders,
): RequestView | Refusal {
  const encoded = encodingRefusal(headers)
  if (encoded !== null) return encoded
  if (raw.length === 0) return refuse('invalid_json', 'The request body is empty; send JSON.')
  return protocol.readBytes(raw)
}
