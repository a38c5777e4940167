import { z } from 'zod'
import { sleep, type Clock } from '../kernel/clock.ts'
import { PAGE_MAX } from '../kernel/limits/access.ts'
import { VERIFY_EVIDENCE_MAX, VERIFY_RETRY_MS, VERIFY_TRIES_MAX } from '../kernel/limits/books.ts'
import { checkLedger, type Breach as LedgerBreach } from '../ledger/checks.ts'
import { textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import { lookAtAccess } from './access.ts'
import type { Suspicion } from './live.ts'
import { lookAtAccount, lookAtKeys, type LookDeps } from './look.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['account-page', 'id-before'])

const breach = z.object({
  invariant: z.enum(['I1', 'I2', 'I7', 'I8', 'I9', 'I10']),
  account_id: z.string(),
  /** The account, lot, hold or key it is about. */
  subject: z.string(),
  detail: z.string(),
})
type Breach = z.infer<typeof breach>

export const verifyReport = z.object({
  ok: z.boolean(),
  accounts: z.int(),
  /** Accounts the credit engine has; only of these I2, I7, I8 and I10 can be judged. */
  accounts_loaded: z.int(),
  keys_loaded: z.int(),
  holds: z.int(),
  /** Looked at again because something did not agree at first. */
  retried: z.int(),
  breaches_total: z.int(),
  /** The first VERIFY_EVIDENCE_MAX of them. */
  breaches: z.array(breach),
  /** Changed faster than could be compared: neither right nor wrong. */
  undecided: z.array(z.object({ account_id: z.string(), detail: z.string() })),
  checked_at: z.string(),
  duration_ms: z.int(),
})
export type VerifyReport = z.infer<typeof verifyReport>

export interface VerifyDeps extends LookDeps {
  readonly clock: Clock
}

interface Judged {
  readonly breaches: readonly (Breach & Pick<Suspicion, 'copy'>)[]
  readonly undecided: string | null
  readonly tries: number
  readonly isLoaded: boolean
  readonly keys: number
  readonly holds: number
}

const toBreaches = (accountId: string, suspicions: readonly Suspicion[]): Judged['breaches'] =>
  suspicions.map(({ copy, ...rest }) => ({
    ...rest,
    account_id: accountId,
    ...(copy !== undefined && { copy }),
  }))

/** Looks until nothing is suspected, or often enough that it is no coincidence. */
export async function judgeAccount(deps: VerifyDeps, accountId: string): Promise<Judged> {
  let firstSeq: number | null = null
  for (let tries = 1; ; tries += 1) {
    const look = await lookAtAccount(deps, accountId)
    const { keys, suspicions: ofKeys } = await lookAtKeys(deps, accountId)
    const ofAccess =
      deps.access === undefined
        ? []
        : await lookAtAccess(deps.db, deps.access, accountId, deps.clock.now())
    const suspicions = [...look.suspicions, ...ofKeys, ...ofAccess]
    const base = { tries, keys, isLoaded: look.isLoaded, holds: look.holds, undecided: null }
    if (suspicions.length === 0) return { ...base, breaches: [] }
    firstSeq ??= look.changeSeq
    if (tries >= VERIFY_TRIES_MAX) {
      // Loads go on and changes come faster: nothing was compared at rest.
      const isMoving =
        look.changeSeq > firstSeq && suspicions.every((one) => one.invariant === 'I10')
      if (!isMoving) return { ...base, breaches: toBreaches(accountId, suspicions) }
      return { ...base, breaches: [], undecided: suspicions[0]?.detail ?? '' }
    }
    await sleep(deps.clock, VERIFY_RETRY_MS)
  }
}

interface Tally {
  accounts: number
  loaded: number
  keys: number
  holds: number
  retried: number
  readonly breaches: Breach[]
  readonly undecided: { account_id: string; detail: string }[]
}

async function verifyLive(deps: VerifyDeps, only: string | null, tally: Tally): Promise<void> {
  let cursor = ''
  for (;;) {
    const rows = await deps.db.query(sql['account-page'], [cursor, only, PAGE_MAX])
    for (const accountId of rows.map((row) => textOf(row, 'id'))) {
      const judged = await judgeAccount(deps, accountId)
      tally.accounts += 1
      tally.loaded += judged.isLoaded ? 1 : 0
      tally.keys += judged.keys
      tally.holds += judged.holds
      tally.retried += judged.tries > 1 ? 1 : 0
      tally.breaches.push(...judged.breaches.map(({ copy: _copy, ...one }) => one))
      if (judged.undecided !== null) {
        tally.undecided.push({ account_id: accountId, detail: judged.undecided })
      }
      cursor = accountId
    }
    if (rows.length < PAGE_MAX) return
  }
}

const ledgerBreach = (one: LedgerBreach): Breach => ({
  invariant: one.invariant,
  account_id: one.accountId,
  subject: one.subject,
  detail: one.detail,
})

/** I1 and I9: each statement sees one moment, so postings meanwhile raise no alarm. */
async function verifyBooks(deps: VerifyDeps, only: string | null, tally: Tally): Promise<void> {
  if (only !== null) {
    const [before] = await deps.db.query(sql['id-before'], [only])
    const start = typeof before?.id === 'string' ? before.id : null
    const { breaches } = await checkLedger(deps.db, start, 1)
    tally.breaches.push(...breaches.filter(({ accountId }) => accountId === only).map(ledgerBreach))
    return
  }
  let cursor: string | null = null
  do {
    const page = await checkLedger(deps.db, cursor, PAGE_MAX)
    tally.breaches.push(...page.breaches.map(ledgerBreach))
    cursor = page.cursor
  } while (cursor !== null)
}

/**
 * Checks I1, I2, I7, I8, I9 and I10 of one account or of all on the live stores, with requests
 * going on. Changes nothing. Source: design §6.
 */
export function makeVerify(deps: VerifyDeps): (only: string | null) => Promise<VerifyReport> {
  return async (only) => {
    const startMs = deps.clock.monotonicMs()
    const checkedAt = new Date(deps.clock.now()).toISOString()
    const counts = { accounts: 0, loaded: 0, keys: 0, holds: 0, retried: 0 }
    const tally: Tally = { ...counts, breaches: [], undecided: [] }
    await verifyBooks(deps, only, tally)
    await verifyLive(deps, only, tally)
    return {
      ok: tally.breaches.length === 0,
      accounts: tally.accounts,
      accounts_loaded: tally.loaded,
      keys_loaded: tally.keys,
      holds: tally.holds,
      retried: tally.retried,
      breaches_total: tally.breaches.length,
      breaches: tally.breaches.slice(0, VERIFY_EVIDENCE_MAX),
      undecided: tally.undecided.slice(0, VERIFY_EVIDENCE_MAX),
      checked_at: checkedAt,
      duration_ms: Math.round(deps.clock.monotonicMs() - startMs),
    }
  }
}
