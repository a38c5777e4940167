import { writeAudit } from '../access/audit.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import type { Db } from '../store/db.ts'
import type { Drift } from './drift.ts'

export interface RepairDeps {
  readonly db: Db
  readonly ids: Ids
  readonly clock: Clock
  /** Loads an account and its keys into the credit engine. Answers whether it took them. */
  readonly rebuild: (accountId: string) => Promise<boolean>
  readonly recover: () => Promise<boolean>
  /** Resolves what an account may do again, and stores it. */
  readonly entitle: (accountId: string) => Promise<boolean>
  /** Looks at something of Stripe's as the inbox does when an event names it; null = no Stripe. */
  readonly look: ((what: string, id: string) => Promise<void>) | null
}

/**
 * Puts right what can be put right without a person: what Redis has is a copy, and a look at Stripe
 * is what the event that never came would have done. Written down before it is done.
 */
export function makeRepair(deps: RepairDeps): (drift: Drift) => Promise<boolean> {
  async function audit({ kind, subject, repair }: Drift): Promise<void> {
    const detail = { finding: kind, ...repair }
    const entry = {
      actor: 'reconcile',
      action: `reconcile.${repair?.kind ?? 'none'}`,
      subject,
      detail,
    }
    await writeAudit(deps.db, deps.ids, entry, deps.clock.now())
  }
  return async (drift) => {
    const { repair, subject } = drift
    if (repair === null) return false
    if (repair.kind === 'look' && deps.look === null) return false
    await audit(drift)
    switch (repair.kind) {
      case 'rebuild':
        return deps.rebuild(repair.accountId)
      case 'recover':
        return deps.recover()
      case 'entitle':
        return deps.entitle(repair.accountId)
      case 'look':
        await deps.look?.(repair.what, subject)
        return true
    }
  }
}
