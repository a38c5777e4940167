import type { ServerResponse } from 'node:http'
import type { OpenHold } from '../credits/holds.ts'
import { isRefusal, refuse, type Refusal } from '../kernel/errors.ts'
import type { GatewayDeps } from './context.ts'
import type { IdempotencyClaim } from './idempotency/idempotency.ts'
import { release } from './settle.ts'

export const LOST = refuse('gateway_unavailable', 'The hold was lost. Try again.')

/** A request that named its idempotency key, if it did, and holds nothing yet. */
interface Claimed {
  readonly id: string
  readonly out: ServerResponse
  readonly claim: IdempotencyClaim | null
}

/** sent: whoever takes its answer owns its end. left: its client did, before anything was sent. */
export type Admitted = 'sent' | 'left' | Refusal

/**
 * Holds what a request may cost and sends it, once its hold is sure to stand. Whoever is not sent
 * leaves neither a hold nor a claim; rejects with a fault of ours. Source: design §2.4–5.
 */
export async function admit<R extends { readonly ok: true; readonly hold: OpenHold }>(
  deps: GatewayDeps,
  { id, out, claim }: Claimed,
  reserve: () => Promise<R | Refusal>,
  send: (reserved: R) => void,
): Promise<Admitted> {
  let hold: OpenHold | null = null
  try {
    const reserved = await reserve()
    if (isRefusal(reserved)) {
      await claim?.free()
      return reserved
    }
    ;({ hold } = reserved)
    const fresh = hold.ensureFresh()
    const isFresh = fresh instanceof Promise ? await fresh : fresh
    const isGone = out.destroyed
    if (isFresh && !isGone) {
      send(reserved)
      return 'sent'
    }
    await release(deps, { id, hold, claim })
    return isGone ? 'left' : LOST
  } catch (error) {
    await hold?.release()
    await claim?.free()
    throw error
  }
}
