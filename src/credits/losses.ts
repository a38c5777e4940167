import { LOADED_SEEN_MAX } from '../kernel/limits/holds.ts'
import type { Log } from '../kernel/log.ts'
import type { Transport } from './transport.ts'

/** Tells of credit state that was lost: once for each loss, however many accounts it had. */
export interface Losses {
  /** The node knows no scripts any more, as after a restart. `number`: its new incarnation. */
  scripts(node: string, number: number): void
  /** This process loaded the account, under the incarnation in force; null = in doubt. */
  loaded(accountId: string, number: number | null): void
  /** The account is not loaded: news where this process had loaded it under the same number. */
  absent(node: string, accountId: string, number: number | null): void
}

const LOST = 'Redis restarted or lost its state: accounts and keys are loaded again'

export function makeLosses(log: Pick<Log, 'warn'>, kind: Transport['kind']): Losses {
  const seen = new Map<string, number>()
  return {
    scripts(node, number) {
      log.warn({ node, incarnation: number, lost: 'scripts' }, LOST)
    },
    loaded(accountId, number) {
      if (kind === 'embedded' || number === null) return // it makes room itself: no loss
      if (seen.size >= LOADED_SEEN_MAX) seen.clear()
      seen.set(accountId, number)
    },
    absent(node, accountId, number) {
      if (number === null || seen.get(accountId) !== number) return
      seen.clear() // the others went with it
      log.warn({ node, incarnation: number, lost: 'accounts' }, LOST)
    },
  }
}
