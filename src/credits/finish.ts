import type { PostItem, PostOutcome } from '../ledger/receipt.ts'
import type { Clearing } from './clearing.ts'
import type { Loads } from './load.ts'

/**
 * What follows a posting: whoever posted beside the engine's knowledge loads first, then the hold
 * is cleared. So does who corrects what recovery posted: a hold that was put back counts whole in
 * its key beside the part that is posted. Source: design §3 (recovery, level-triggered post).
 */
export async function finishPosted(
  deps: { loads: Loads; clearing: Clearing },
  item: PostItem,
  outcome: PostOutcome,
  byRecovery: boolean,
): Promise<void> {
  if (outcome.kind === 'parked') return // stays for a person, with its finding
  const { accountId, keyId, holdId, rev } = item.receipt
  if (byRecovery || outcome.kind === 'noop' || outcome.isCorrection === true) {
    await Promise.all([
      deps.loads.account(accountId, 'drift'),
      deps.loads.key(accountId, keyId, 'drift'),
    ])
  }
  await deps.clearing.clear(accountId, { holdId, keyId, rev, version: outcome.version })
}
