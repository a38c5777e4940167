import type { Difference, DryLook } from '../billing/effects/dry-look.ts'
import type { PaidThing, Walk } from '../billing/walk.ts'
import { sleep, type Clock } from '../kernel/clock.ts'
import { RECONCILE_PAUSE_MS } from '../kernel/limits-books.ts'
import type { Db } from '../store/db.ts'
import { microsOf, numberOf, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { Check, CheckPage, Scope } from './check.ts'
import type { Drift } from './drift.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['payment-page'])

export interface PaymentDeps {
  readonly db: Db
  readonly clock: Clock
  readonly walk: Walk
  readonly look: DryLook
  /** Whether Stripe has it, and has it as paid. */
  readonly isPaid: (id: string) => Promise<boolean>
  /** Pause between two looks; absent = as live accounts allow. */
  readonly pauseMs?: number
}

type What = 'payment' | 'invoice' | 'session'

function driftOf(what: What, paid: PaidThing, found: Difference): Drift | null {
  if (found.accounts.length === 0 && !found.isStuck && !found.lacksGrant) return null
  const { amount, currency, createdMs } = paid
  const [account_id = null] = found.accounts
  const base = {
    subject: paid.id,
    atStakeMicros: null,
    evidence: {
      ...{ account_id, stripe: `paid ${amount} ${currency}`, ledger: found.outcome },
      ...{ amount, currency, created_ms: createdMs },
    },
  }
  if (found.isStuck || found.lacksGrant) {
    // What cannot be granted is a person's; what only was not is granted by looking again.
    const repair = found.isStuck ? null : ({ kind: 'look', what } as const)
    const wronged = { severity: 'urgent', direction: 'paid_but_blocked' } as const
    return { ...base, kind: 'payment_not_granted', ...wronged, repair }
  }
  const kind = 'clawback_differs'
  return { ...base, kind, severity: 'review', direction: null, repair: { kind: 'look', what } }
}

/** I3 and I5, from Stripe's side: every payment of ours is granted and clawed back as it should. */
function paidCheck(
  deps: PaymentDeps,
  name: string,
  what: What,
  list: (after: string | null, sinceMs: number | null) => ReturnType<Walk['payments']>,
): Check {
  return {
    name,
    // Three walks of one pair of books: the last of them closes what none has seen.
    kinds: what === 'session' ? ['payment_not_granted', 'clawback_differs'] : [],
    isOfTime: true,
    async page(cursor, { sinceMs, untilMs }) {
      const { items, next } = await list(cursor, sinceMs)
      const drifts: Drift[] = []
      for (const paid of items.filter(({ createdMs }) => createdMs < untilMs)) {
        const found = await deps.look({ kind: what, id: paid.id })
        const drift = found === null ? null : driftOf(what, paid, found)
        if (drift !== null) drifts.push(drift)
        await sleep(deps.clock, deps.pauseMs ?? RECONCILE_PAUSE_MS)
      }
      return { drifts, seen: items.length, next }
    },
  }
}

const GRANTS_PAGE = 50

/** I3, from the ledger's side: what was granted was paid. */
async function grantsPage(
  deps: PaymentDeps,
  cursor: string | null,
  { sinceMs, untilMs }: Scope,
): Promise<CheckPage> {
  const times = [new Date(sinceMs ?? 0), new Date(untilMs)]
  const rows = await deps.db.query(sql['payment-page'], [cursor ?? '', GRANTS_PAGE, ...times])
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
    await sleep(deps.clock, deps.pauseMs ?? RECONCILE_PAUSE_MS)
  }
  const last = rows.length < GRANTS_PAGE ? undefined : rows.at(-1)
  return { drifts, seen: rows.length, next: last === undefined ? null : textOf(last, 'id') }
}

/** Stripe's payments, refunds and disputes ↔ grants and clawbacks. Source: design §6 (I3, I5). */
export function checksOfPayments(deps: PaymentDeps): readonly Check[] {
  const { walk } = deps
  return [
    paidCheck(deps, 'payments', 'payment', (...args) => walk.payments(...args)),
    paidCheck(deps, 'invoices', 'invoice', (...args) => walk.invoices(...args)),
    paidCheck(deps, 'free checkouts', 'session', (...args) => walk.freeSessions(...args)),
    {
      name: 'grants',
      kinds: ['grant_without_payment'],
      isOfTime: true,
      page: (cursor, scope) => grantsPage(deps, cursor, scope),
    },
  ]
}
