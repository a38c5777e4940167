import { isRefusal, refuse, type Refusal } from '../../kernel/errors.ts'
import { IDEMPOTENCY_KEY_CHARS_MAX } from '../../kernel/limits/idempotency.ts'
import type { Caller } from '../../access/access.ts'
import type { IdempotencyClaim, Idempotency, StoredReplay } from './idempotency.ts'

const PRINTABLE = /^[\x20-\x7e]+$/
const INVALID = refuse(
  'invalid_request',
  `Idempotency-Key takes 1 to ${IDEMPOTENCY_KEY_CHARS_MAX} printable characters.`,
)

export interface Named {
  readonly id: string
  readonly caller: Caller
  /** As it came; node joins repeated headers, and what that gives is a key as any other. */
  readonly key: string | string[]
  /** SHA-256 over what is asked: another one under the same key is refused. */
  readonly bodyHash: Buffer
}

/** Claims the key that a client named its request by. Source: design §9. */
export async function claimKey(
  deps: { readonly idempotency: Idempotency },
  { id, caller, key, bodyHash }: Named,
): Promise<IdempotencyClaim | StoredReplay | { kind: 'refused'; refusal: Refusal }> {
  if (typeof key !== 'string' || key.length > IDEMPOTENCY_KEY_CHARS_MAX || !PRINTABLE.test(key)) {
    return { kind: 'refused', refusal: INVALID }
  }
  const { accountId } = caller
  const claim = await deps.idempotency.claim({ accountId, key, holdId: id, bodyHash })
  return isRefusal(claim) ? { kind: 'refused', refusal: claim } : claim
}
