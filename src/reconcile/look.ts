import { z } from 'zod'
import type { AccountView, CreditEngine, HoldView } from '../credits/commands.ts'
import { PAGE_MAX } from '../kernel/limits/access.ts'
import type { Db, Tx } from '../store/db.ts'
import { numberOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import { checkCachedKey, type AccessLook } from './access.ts'
import {
  checkAccountFields,
  checkAvailable,
  checkKeyFields,
  checkKeySpend,
  checkLeases,
  checkReservations,
  lockedAccount,
  planLimits,
  storedKey,
  withPlan,
  type LockedAccount,
  type PlanLimits,
  type PostedVersions,
  type Suspicion,
} from './live.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'lock-account',
  'posted-holds',
  'newest-entry',
  'account-keys',
  'plan-limits',
  'posted-spend',
])

export interface LookDeps {
  readonly db: Db
  readonly engine: CreditEngine
  /** Pause between two sweeps of recovery. */
  readonly sweepMs: number
  /** Absent = entitlements are not looked at. */
  readonly access?: AccessLook
}

/** What one look at an account found. */
export interface Look {
  /** false = the engine does not have it, so there is nothing to compare. */
  readonly isLoaded: boolean
  /** As the engine has it; shows whether loads go on. */
  readonly changeSeq: number
  readonly holds: number
  readonly suspicions: readonly Suspicion[]
}

const NOT_LOADED: Look = { isLoaded: false, changeSeq: -1, holds: 0, suspicions: [] }

/**
 * One look at an account while its row is locked: postings wait, so that posted balance and usage
 * stand still while the engine is asked. This is the one place where a network call (one round
 * trip, bounded) is made inside a transaction, against the house rule: without the lock the two
 * sides are of different moments, and I2 could only be guessed. Source: design §6 (I2).
 */
export async function lookAtAccount(deps: LookDeps, accountId: string): Promise<Look> {
  // Asked first outside: this makes the engine read its incarnation, should it have to, while the
  // embedded database's only connection is free.
  if ((await deps.engine.viewAccount(accountId)) === null) return NOT_LOADED
  const nowMs = await deps.engine.timeMs()
  return deps.db.tx(async (tx) => {
    const [row] = await tx.query(sql['lock-account'], [accountId])
    const view = await deps.engine.viewAccount(accountId)
    if (row === undefined || view === null) return NOT_LOADED
    const [plan] = await tx.query(sql['plan-limits'], [accountId])
    const limits = plan === undefined ? null : planLimits.parse(plan)
    const account = withPlan(lockedAccount.parse(row), limits)
    const at = { nowMs, sweepMs: deps.sweepMs, limits }
    const suspicions = await compare(tx, account, view, at)
    const { changeSeq, holds } = view
    return { isLoaded: true, changeSeq, holds: holds.length, suspicions }
  })
}

async function compare(
  tx: Tx,
  account: LockedAccount,
  view: AccountView,
  at: { readonly nowMs: number; readonly sweepMs: number; readonly limits: PlanLimits | null },
): Promise<Suspicion[]> {
  const leases = checkLeases(view, at.nowMs, at.sweepMs)
  const fields = checkAccountFields(account, view, at.limits)
  // While a change is not loaded yet, amounts are those of before it.
  if (view.changeSeq !== account.change_seq) return [...leases, ...fields]
  const versions = await postedOf(tx, view.holds)
  const [newest] = await tx.query(sql['newest-entry'], [account.id])
  const newestMs = newest === undefined ? null : z.number().parse(newest.created_at)
  return [
    ...leases,
    ...fields,
    ...checkAvailable(account, view, versions),
    ...checkReservations(account, view, newestMs),
  ]
}

/** Those of settled holds. */
async function postedOf(tx: Tx, holds: readonly HoldView[]): Promise<PostedVersions> {
  const settled = holds.filter((hold) => hold.state === 'settled').map((hold) => hold.holdId)
  const posted = settled.length === 0 ? [] : await tx.query(sql['posted-holds'], [settled])
  return new Map(posted.map((row) => [String(row.hold_id), Number(row.version)]))
}

/** What a key spent, while its account's postings wait. As above: one bounded call inside. */
async function lookAtSpend(
  { db, engine }: Pick<LookDeps, 'db' | 'engine'>,
  accountId: string,
  keyId: string,
): Promise<Suspicion[]> {
  return db.tx(async (tx) => {
    await tx.query(sql['lock-account'], [accountId])
    const view = await engine.viewKey(accountId, keyId)
    if (view?.budgetMicros == null) return []
    const [spent] = await tx.query(sql['posted-spend'], [keyId, view.periodStartDay])
    const micros = spent === undefined ? 0 : numberOf(spent, 'micros')
    return checkKeySpend(view, micros, await postedOf(tx, view.holds))
  })
}

/** Compares the keys of an account that are loaded; answers how many. */
export async function lookAtKeys(
  deps: Pick<LookDeps, 'db' | 'engine' | 'access'>,
  accountId: string,
): Promise<{ readonly keys: number; readonly suspicions: readonly Suspicion[] }> {
  const suspicions: Suspicion[] = []
  const copies = deps.access?.cached(accountId) ?? []
  let [keys, cursor] = [0, '']
  for (;;) {
    const rows = await deps.db.query(sql['account-keys'], [accountId, cursor, PAGE_MAX])
    for (const key of rows.map((row) => storedKey.parse(row))) {
      suspicions.push(...checkCachedKey(key, copies))
      const view = await deps.engine.viewKey(accountId, key.id)
      if (view !== null) {
        keys += 1
        const fields = checkKeyFields(key, view)
        suspicions.push(...fields)
        // While a change is not loaded yet, its spend is that of before it.
        if (fields.length === 0 && view.budgetMicros !== null) {
          suspicions.push(...(await lookAtSpend(deps, accountId, key.id)))
        }
      }
      cursor = key.id
    }
    if (rows.length < PAGE_MAX) return { keys, suspicions }
  }
}
