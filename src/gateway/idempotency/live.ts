import type { CreditEngine } from '../../credits/commands.ts'
import type { Loads } from '../../credits/load.ts'
import type { IdempotencyDeps } from './idempotency.ts'

/**
 * Whether a hold is still in the credit engine. An account that the engine does not have is loaded
 * first: after a restart or a loss of Redis a duplicate may be the first to ask for it, and would
 * wait for ever. What could not be loaded counts as live. Source: design §9.
 */
export const makeIsLive =
  (deps: {
    readonly engine: Pick<CreditEngine, 'viewAccount'>
    readonly loads: Pick<Loads, 'account'>
  }): IdempotencyDeps['isLive'] =>
  async (accountId, holdId) => {
    let view = await deps.engine.viewAccount(accountId)
    if (view === null && (await deps.loads.account(accountId, 'missing')) === 'loaded') {
      view = await deps.engine.viewAccount(accountId)
    }
    return view === null || view.holds.some((hold) => hold.holdId === holdId)
  }
