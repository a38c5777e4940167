import { encodingRefusal } from '../kernel/content-encoding.ts'
import { refuse, type Refusal } from '../kernel/errors.ts'
import type { RequestView } from '../protocols/protocol.ts'
import type { Arrival } from './context.ts'
import { isHeavy, type BodyReader } from './reading/body-reader.ts'

/**
 * The one reading of a body: bytes → what the protocol sees in it, or why not. A promise only for
 * what would keep the event loop busy.
 */
export function readBody(
  bodies: BodyReader,
  { protocol, headers, caller }: Pick<Arrival, 'protocol' | 'headers' | 'caller'>,
  raw: Buffer,
): RequestView | Refusal | Promise<RequestView | Refusal> {
  const encoded = encodingRefusal(headers)
  if (encoded !== null) return encoded
  if (raw.length === 0) return refuse('invalid_json', 'The request body is empty; send JSON.')
  if (!isHeavy(raw)) return protocol.readBytes(raw)
  const digest = headers['idempotency-key'] !== undefined
  return bodies.view(protocol, raw, { owner: caller.accountId, digest })
}
