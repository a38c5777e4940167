import { writeAudit } from '../access/audit.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import { describeError } from '../kernel/log.ts'
import type { Db } from '../store/db.ts'
import type { Drift, Repair } from './drift.ts'

export interface RepairDeps {
  readonly db: Db
  readonly ids: Ids
  readonly clock: Clock
  /** Loads an account and its keys into the credit engine. */
  readonly rebuild: (accountId: string) => Promise<unknown>
  readonly recover: () => Promise<unknown>
  /** Resolves what an account may do again, and stores it. */
  readonly entitle: (accountId: string) => Promise<unknown>
  /** Looks at something of Stripe's as the inbox does when an event names it; null = no Stripe. */
  readonly look: ((what: string, id: string) => Promise<void>) | null
}

/** `fixed`: another look finds it no more. `still`: it does; as it is now, and what was tried. */
export type Repaired =
  { readonly kind: 'left' } | { readonly kind: 'fixed' } | { readonly kind: 'still'; drift: Drift }

/** Puts one drift right. `again` looks at it anew: null = it is gone. */
export type RepairOne = (drift: Drift, again: () => Promise<Drift | null>) => Promise<Repaired>

async function carryOut(deps: RepairDeps, repair: Repair, subject: string): Promise<void> {
  switch (repair.kind) {
    case 'rebuild':
      await deps.rebuild(repair.accountId)
      return
    case 'recover':
      await deps.recover()
      return
    case 'entitle':
      await deps.entitle(repair.accountId)
      return
    case 'look':
      await deps.look?.(repair.what, subject)
  }
}

/**
 * Puts right what can be put right without a person: what Redis has is a copy, and a look at Stripe
 * is what the event that never came would have done. Written down before it is done; what it came
 * to is what another look says, never the repair itself, and is written down too.
 */
export function makeRepair(deps: RepairDeps): RepairOne {
  async function audit(
    { kind, subject, repair }: Drift,
    outcome: string,
    more: object = {},
  ): Promise<void> {
    const action = `reconcile.${repair?.kind ?? 'none'}${outcome}`
    const detail = { finding: kind, ...repair, ...more }
    const entry = { actor: 'reconcile', action, subject, detail }
    await writeAudit(deps.db, deps.ids, entry, deps.clock.now())
  }
  return async (drift, again) => {
    const { repair, subject } = drift
    if (repair === null || (repair.kind === 'look' && deps.look === null)) return { kind: 'left' }
    await audit(drift, '')
    const error = await carryOut(deps, repair, subject).then(() => null, describeError)
    const failure = error === null ? {} : { error }
    const now = await again()
    if (now === null) {
      await audit(drift, '.fixed', failure)
      return { kind: 'fixed' }
    }
    await audit(drift, '.no_help', failure)
    const tried = { repair_tried: repair.kind, repair_helped: false, ...failure }
    return { kind: 'still', drift: { ...now, evidence: { ...now.evidence, ...tried } } }
  }
}
