import { PAGE_MAX } from '../kernel/limits/access.ts'
import { checkLedger, type Breach, type CheckedPage, type SaidTwice } from '../ledger/checks.ts'
import type { Db } from '../store/db.ts'
import { textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { Check } from './check.ts'
import type { Drift } from './drift.ts'
import { judgeAccount, type VerifyDeps } from './verify.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['account-page'])

const LEDGER_KINDS = { I1: 'ledger_balance', I9: 'ledger_hold' } as const

const ledgerDrift = ({ invariant, accountId, subject, detail }: Breach): Drift => ({
  kind: LEDGER_KINDS[invariant],
  severity: 'urgent',
  direction: null,
  subject,
  atStakeMicros: null,
  evidence: { invariant, account_id: accountId, detail },
  repair: null,
})

const twiceDrift = (
  kind: 'ledger_lines' | 'fields_differ',
  subject: string,
  evidence: Drift['evidence'],
): Drift => ({
  ...{ kind, severity: 'review', direction: null, subject, atStakeMicros: null, evidence },
  repair: null,
})

const lineDrift = ({ accountId, said, counted }: SaidTwice): Drift =>
  twiceDrift('ledger_lines', accountId, { account_id: accountId, account: said, entries: counted })

/** What entries say of a lot’s expiry: found where they are summed, told as a pair of fields. */
const expiryDrift = (one: CheckedPage['expiries'][number]): Drift =>
  twiceDrift('fields_differ', `lot-expiry ${one.lotId}`, {
    ...{ pair: 'lot-expiry', account_id: one.accountId, one: one.said, other: one.counted },
  })

/**
 * I1 and I9: ledger ↔ lots ↔ usage, and what accounts and lots keep of their sums. A page sees one
 * moment; its statements are short, however much an account has.
 */
export const checkOfLedger = (db: Db): Check => ({
  name: 'ledger',
  kinds: [...Object.values(LEDGER_KINDS), 'ledger_lines'],
  isOfTime: false,
  async page(cursor) {
    const { breaches, lines, expiries, ...page } = await checkLedger(db, cursor, PAGE_MAX)
    const twice = [...lines.map(lineDrift), ...expiries.map(expiryDrift)]
    return {
      drifts: [...breaches.map(ledgerDrift), ...twice],
      seen: page.accounts,
      next: page.cursor,
    }
  },
})

const ENGINE_KINDS = {
  I2: 'engine_available',
  I7: 'engine_lease',
  I8: 'engine_below_limit',
  I10: 'engine_fields',
} as const

type EngineRule = keyof typeof ENGINE_KINDS

const isOfEngine = (invariant: string): invariant is EngineRule => invariant in ENGINE_KINDS

/** I10 beyond the engine: what is stored follows from other rows, a cached copy ends by itself. */
const copyDrift = (accountId: string, copy: 'stored' | 'cached', one: Told): Drift => ({
  kind: copy === 'stored' ? 'access_stored' : 'access_cached',
  ...{ severity: 'review', direction: null, subject: one.subject, atStakeMicros: null },
  evidence: { invariant: 'I10', account_id: accountId, detail: one.detail },
  repair: copy === 'stored' ? { kind: 'entitle', accountId } : null,
})

interface Told {
  readonly subject: string
  readonly detail: string
}

const engineDrift = (
  accountId: string,
  invariant: EngineRule,
  { subject, detail }: Told,
): Drift => ({
  kind: ENGINE_KINDS[invariant],
  severity: invariant === 'I2' ? 'urgent' : 'review',
  direction: null,
  subject,
  atStakeMicros: null,
  evidence: { invariant, account_id: accountId, detail },
  // Everything in Redis can be made again from Postgres, so doing it is right. A breach of I8 has
  // happened: nothing makes it undone.
  repair:
    invariant === 'I7'
      ? { kind: 'recover', accountId }
      : invariant === 'I8'
        ? null
        : { kind: 'rebuild', accountId },
})

async function engineDrifts(deps: VerifyDeps, accountId: string): Promise<Drift[]> {
  const { breaches } = await judgeAccount(deps, accountId)
  return breaches.flatMap(({ invariant, copy, ...breach }) => {
    if (copy !== undefined) return [copyDrift(accountId, copy, breach)]
    return isOfEngine(invariant) ? [engineDrift(accountId, invariant, breach)] : []
  })
}

/** I2, I7, I8, I10: what the hot path has ↔ Postgres, under the account's lock, looked at again. */
export const checkOfEngine = (deps: VerifyDeps): Check => ({
  name: 'engine',
  kinds: [...Object.values(ENGINE_KINDS), 'access_stored', 'access_cached'],
  isOfTime: false,
  async page(cursor) {
    // Few at a time: each is several round trips, and a page is what a step cannot leave.
    const rows = await deps.db.query(sql['account-page'], [cursor ?? '', null, ENGINE_PAGE])
    const drifts: Drift[] = []
    for (const accountId of rows.map((row) => textOf(row, 'id'))) {
      drifts.push(...(await engineDrifts(deps, accountId)))
    }
    const last = rows.length < ENGINE_PAGE ? undefined : rows.at(-1)
    return { drifts, seen: rows.length, next: last === undefined ? null : textOf(last, 'id') }
  },
  async again({ kind, subject, repair }) {
    if (repair === null || repair.kind === 'look') return null
    const now = await engineDrifts(deps, repair.accountId)
    return now.find((one) => one.kind === kind && one.subject === subject) ?? null
  },
})

const ENGINE_PAGE = 50
