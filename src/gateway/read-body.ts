import type { IncomingHttpHeaders } from 'node:http'
import { refuse, type Refusal } from '../kernel/errors.ts'
import type { Protocol, RequestView, SoundReader } from '../protocols/protocol.ts'

const FORM = /^multipart\/form-data\s*(?:;|$)/i

/**
 * The one reading of a body: bytes → what the protocol sees in it, or why not. A promise only for
 * forms, whose files may have to be looked into.
 */
export function readBody(
  protocol: Protocol,
  raw: Buffer,
  headers: IncomingHttpHeaders,
  sounds: SoundReader,
): RequestView | Refusal | Promise<RequestView | Refusal> {
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding !== '' && encoding.toLowerCase() !== 'identity') {
    return refuse(
      'unsupported_encoding',
      'Request bodies must not be compressed: remove the content-encoding header.',
    )
  }
  if (raw.length === 0) return refuse('invalid_json', 'The request body is empty; send JSON.')
  const type = headers['content-type']
  if (protocol.readForm !== undefined && type !== undefined && FORM.test(type)) {
    return protocol.readForm(raw, type, sounds)
  }
  return protocol.readBytes(raw)
}
