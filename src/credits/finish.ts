import type { PostItem, PostOutcome } from '../ledger/receipt.ts'
import type { Clearing } from './clearing.ts'
import type { Loads } from './load.ts'

/**
 * What follows a posting: whoever posted beside the engine's knowledge loads first, then the hold
 * is cleared. So does who corrects what recovery posted: a hold that was put back counts whole in
 * its key beside the part that is posted. Source: design §3 (recovery, level-triggered post).
 */
export function finishPosted(
  deps: { loads: Loads; clearing: Clearing },
  item: PostItem,
  outcome: PostOutcome,
  byRecovery: boolean,
): Promise<void> {
  if (outcome.kind === 'parked') return Promise.resolve() // stays for a person, with its finding
  const { accountId, keyId, holdId, rev } = item.receipt
  const clear = (): Promise<void> =>
    deps.clearing.clear(accountId, { holdId, keyId, rev, version: outcome.version })
  const isNews = byRecovery || outcome.kind === 'noop' || outcome.isCorrection === true
  if (!isNews) return clear()
  return Promise.all([
    deps.loads.account(accountId, 'drift'),
    deps.loads.key(accountId, keyId, 'drift'),
  ]).then(clear)
}
