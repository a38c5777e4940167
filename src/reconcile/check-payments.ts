import type { Difference, DryLook } from '../billing/effects/dry-look.ts'
import type { MoneyBackThing, PaidThing, Walk, WalkPage } from '../billing/walk.ts'
import { sleep, type Clock } from '../kernel/clock.ts'
import { RECONCILE_LOOKS_MAX, RECONCILE_PAUSE_MS } from '../kernel/limits/books.ts'
import type { Tx } from '../store/db.ts'
import { microsOf, numberOf, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { Check, CheckPage, Scope } from './check.ts'
import type { Drift, DriftKind } from './drift.ts'
import { settled, type Quarantine } from './quarantine.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['payment-page'])

export interface PaymentDeps extends Quarantine {
  readonly db: Tx
  readonly clock: Clock
  readonly walk: Walk
  readonly look: DryLook
  /** Whether Stripe has it, and has it as paid. */
  readonly isPaid: (id: string) => Promise<boolean>
  /** Pause between two looks; absent = as live accounts allow. */
  readonly pauseMs?: number
}

const PAID_KINDS = ['payment_not_granted', 'clawback_differs'] as const

/** What is looked at to mend it, by Stripe's prefixes. */
const whatOf = (id: string): 'payment' | 'invoice' | 'session' =>
  id.startsWith('in_') ? 'invoice' : id.startsWith('cs_') ? 'session' : 'payment'

/** `subject`: the payment, invoice or free checkout; `seen`: what Stripe said of it. */
function driftOf(
  subject: string,
  seen: Readonly<Record<string, unknown>>,
  found: Difference,
): Drift | null {
  if (found.accounts.length === 0 && !found.isStuck && !found.lacksGrant) return null
  const [account_id = null] = found.accounts
  const evidence = { account_id, ...seen, ledger: found.outcome }
  const base = { subject, atStakeMicros: found.atStakeMicros, evidence }
  const repair = { kind: 'look', what: whatOf(subject) } as const
  if (found.isStuck || found.lacksGrant) {
    // What cannot be granted is a person's; what only was not is granted by looking again.
    const wronged = { severity: 'urgent', direction: 'paid_but_blocked' } as const
    return {
      ...base,
      kind: 'payment_not_granted',
      ...wronged,
      repair: found.isStuck ? null : repair,
    }
  }
  return { ...base, kind: 'clawback_differs', severity: 'review', direction: null, repair }
}

/** What is left of a drift of a payment, by another look at it. */
async function lookAgain({ look }: PaymentDeps, drift: Drift): Promise<Drift | null> {
  const { repair, subject, evidence, kind } = drift
  if (repair?.kind !== 'look') return drift
  const found = await look({ kind: repair.what, id: subject })
  const now = found === null ? null : driftOf(subject, evidence, found)
  return now?.kind === kind ? now : null
}

const paused = (deps: PaymentDeps): Promise<void> =>
  sleep(deps.clock, deps.pauseMs ?? RECONCILE_PAUSE_MS)

/** A walk through something of Stripe's, of which each is looked at. */
function walked<T extends { readonly id: string; readonly createdMs: number }>(
  deps: PaymentDeps,
  of: {
    readonly name: string
    readonly kinds: readonly DriftKind[]
    list(after: string | null, sinceMs: number | null, untilMs: number): Promise<WalkPage<T>>
    look(one: T, scope: Scope): Promise<Drift | null>
  },
): Check {
  return {
    ...{ name: of.name, kinds: of.kinds, isOfTime: true },
    async page(cursor, scope) {
      const { items, next } = await of.list(cursor, scope.sinceMs, scope.untilMs)
      const drifts: Drift[] = []
      for (const one of items.filter(({ createdMs }) => createdMs < scope.untilMs)) {
        const drift = await of.look(one, scope)
        if (drift !== null) drifts.push(drift)
        await paused(deps)
      }
      return { ...(await settled(deps, drifts, scope)), seen: items.length, next }
    },
    again: (drift) => lookAgain(deps, drift),
  }
}

/** I3 and I5, from Stripe's side: every payment of ours is granted and clawed back as it should. */
const paidCheck = (
  deps: PaymentDeps,
  name: string,
  what: 'payment' | 'invoice' | 'session',
  list: Walk['payments'],
  kinds: readonly DriftKind[] = [],
): Check =>
  walked<PaidThing>(deps, {
    ...{ name, kinds, list },
    async look({ id, amount, currency, createdMs }) {
      const found = await deps.look({ kind: what, id })
      const paid = { stripe: `paid ${amount} ${currency}`, amount, currency }
      return found === null ? null : driftOf(id, { ...paid, created_ms: createdMs }, found)
    },
  })

/** I5 by the time of what took money back: the payment may be older than any scope. */
const backCheck = (
  deps: PaymentDeps,
  name: string,
  what: 'refund' | 'dispute',
  list: Walk['refunds'],
): Check =>
  walked<MoneyBackThing>(deps, {
    ...{ name, kinds: [] },
    async list(after, sinceMs, untilMs) {
      const { items, next } = await list(after, sinceMs)
      // Several of one payment are one look: at the latest that may be judged.
      const old = items
        .filter(({ createdMs }) => createdMs < untilMs)
        .toSorted((a, b) => a.createdMs - b.createdMs)
      return { items: [...new Map(old.map((one) => [one.payment, one])).values()], next }
    },
    async look({ id, payment, createdMs }, { untilMs }) {
      const found = await deps.look({ kind: what, id })
      // Only a run that looks as far back may say that it is gone. Every run sees all disputes.
      const created_ms = what === 'refund' ? createdMs : untilMs
      const seen = { stripe: `${what} ${id} of ${payment}`, created_ms }
      return found === null ? null : driftOf(found.id, seen, found)
    },
  })

/** I3, from the ledger's side: what was granted was paid. */
async function grantsPage(
  deps: PaymentDeps,
  cursor: string | null,
  { sinceMs, untilMs }: Scope,
): Promise<CheckPage> {
  const times = [new Date(sinceMs ?? 0), new Date(untilMs)]
  const rows = await deps.db.query(sql['payment-page'], [
    ...[cursor ?? '', RECONCILE_LOOKS_MAX],
    ...times,
  ])
  const drifts: Drift[] = []
  for (const row of rows) {
    const id = textOf(row, 'id')
    if (!(await deps.isPaid(id))) {
      const granted_micros = microsOf(row, 'micros')
      const created_ms = numberOf(row, 'paid_at')
      const evidence = { account_id: textOf(row, 'account_id'), stripe: 'not paid', created_ms }
      drifts.push({
        ...{ kind: 'grant_without_payment', subject: id, severity: 'review' },
        ...{ direction: 'unpaid_but_active', atStakeMicros: granted_micros, repair: null },
        evidence: { ...evidence, ledger: `granted ${granted_micros}` },
      })
    }
    await paused(deps)
  }
  const last = rows.length < RECONCILE_LOOKS_MAX ? undefined : rows.at(-1)
  return { drifts, seen: rows.length, next: last === undefined ? null : textOf(last, 'id') }
}

/** Stripe's payments, refunds and disputes ↔ grants and clawbacks. Source: design §6 (I3, I5). */
export function checksOfPayments(deps: PaymentDeps): readonly Check[] {
  const { walk } = deps
  return [
    paidCheck(deps, 'payments', 'payment', (...args) => walk.payments(...args)),
    paidCheck(deps, 'invoices', 'invoice', (...args) => walk.invoices(...args)),
    backCheck(deps, 'refunds', 'refund', (...args) => walk.refunds(...args)),
    backCheck(deps, 'disputes', 'dispute', (...args) => walk.disputes(...args)),
    // Five walks of one pair of books: the last of them closes what none has seen.
    paidCheck(
      ...([deps, 'free checkouts', 'session'] as const),
      (...args) => walk.freeSessions(...args),
      PAID_KINDS,
    ),
    {
      name: 'grants',
      kinds: ['grant_without_payment'],
      isOfTime: true,
      page: (cursor, scope) => grantsPage(deps, cursor, scope),
    },
  ]
}
