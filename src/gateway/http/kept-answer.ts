import type { StoredAnswer } from '../../ledger/receipt.ts'
import type { OutgoingHeaders } from '../headers.ts'
import type { IdempotencyClaim } from '../idempotency/idempotency.ts'

/** Ours are written anew for each that asks. */
const OURS = 'x-farebox-'

/**
 * An API's answer as a duplicate of an idempotent request will get it, with every header its client
 * got: what they mean is the API's affair. null = not idempotent; parts null = not kept.
 */
export function keptAnswer(
  claim: IdempotencyClaim | null,
  status: number,
  headers: OutgoingHeaders,
  parts: readonly Buffer[] | null,
): StoredAnswer | null {
  if (claim === null) return null
  const kept: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(OURS)) continue
    kept[name] = typeof value === 'string' ? value : value.join(', ')
  }
  const body = parts === null ? null : Buffer.concat(parts)
  return { idempotencyKey: claim.key, status, headers: kept, body }
}
