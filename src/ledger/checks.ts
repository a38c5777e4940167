import { LEDGER_CHECK_MS_MAX, LEDGER_CHECK_ROWS_MAX } from '../kernel/limits/books.ts'
import type { Db, Row } from '../store/db.ts'
import { snapshot } from '../store/read-only.ts'
import { microsOf, numberOf, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import { passEntries, passHolds, readLots, type LotSaid, type Tally } from './check-passes.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['check-accounts'])

/** A rule that the ledger breaks, and by what numbers. Source: design §6. */
export interface Breach {
  readonly invariant: 'I1' | 'I9'
  readonly accountId: string
  /** The account, lot or hold. */
  readonly subject: string
  readonly detail: string
}

/** What is said twice, on an account or a lot and by its entries or receipts. */
export interface SaidTwice {
  readonly accountId: string
  readonly said: Readonly<Record<string, number>>
  readonly counted: Readonly<Record<string, number>>
}

export interface CheckedPage {
  readonly breaches: readonly Breach[]
  /** Debt, overage and version of an account: sums of its entries, the newest of its receipts. */
  readonly lines: readonly SaidTwice[]
  /** What expiry took of a lot. */
  readonly expiries: readonly (SaidTwice & { readonly lotId: string })[]
  readonly accounts: number
  /** Last account looked at: where the next page starts after. null = there is none. */
  readonly cursor: string | null
}

const NOTHING: CheckedPage = { breaches: [], lines: [], expiries: [], accounts: 0, cursor: null }

/**
 * Checks I1 and I9 for at most `limit` accounts after `cursor` (null = from the first), in one
 * snapshot: posting may go on meanwhile. However many entries and receipts an account has, a
 * statement reads `rows` of them. At most 1000 holds are named for each so many.
 */
export function checkLedger(
  db: Db,
  cursor: string | null,
  limit: number,
  rows = LEDGER_CHECK_ROWS_MAX,
): Promise<CheckedPage> {
  const after = cursor ?? ''
  return snapshot(db, LEDGER_CHECK_MS_MAX, async (tx) => {
    const accounts = await tx.query(sql['check-accounts'], [after, limit])
    const last = accounts.at(-1)
    if (last === undefined) return NOTHING
    const range = { after, until: textOf(last, 'id'), rows }
    const lots = await readLots(tx, range)
    const entries = await passEntries(tx, range)
    const holds = await passHolds(tx, range)
    const orphans = [...entries.orphans.values()].toSorted((a, b) => (a.holdId < b.holdId ? -1 : 1))
    return {
      breaches: [
        ...accounts.flatMap((row) => balanceBreach(row, entries.accounts.get(textOf(row, 'id')))),
        ...[...lotsOf(lots, entries.lots)].flatMap(lotBreach),
        ...[...holds.wrong, ...orphans].map(holdBreach),
      ],
      lines: accounts.flatMap((row) => lineDifference(row, entries.accounts, holds.versions)),
      expiries: [...lotsOf(lots, entries.lots)].flatMap(expiryDifference),
      accounts: accounts.length,
      cursor: accounts.length < limit ? null : range.until,
    }
  })
}

const NO_ENTRIES: Tally = { micros: 0, debt: 0, overage: 0, entries: 0, lastSeq: 0 }

function balanceBreach(row: Row, tally: Tally = NO_ENTRIES): Breach[] {
  const posted = microsOf(row, 'posted_micros')
  const below = microsOf(row, 'debt_micros') + microsOf(row, 'overage_micros')
  const lines = microsOf(row, 'lots_micros') - below
  const seq = numberOf(row, 'entry_seq')
  const { micros, entries, lastSeq } = tally
  const found: string[] = []
  if (micros !== posted) found.push(`entries ${micros}, posted ${posted}`)
  if (lines !== posted) found.push(`lots less debt and overage ${lines}, posted ${posted}`)
  if (seq !== entries || seq !== lastSeq) {
    found.push(`entry_seq ${seq}, entries ${entries}, last ${lastSeq}`)
  }
  const accountId = textOf(row, 'id')
  return found.map((detail) => ({ invariant: 'I1', accountId, subject: accountId, detail }))
}

function lineDifference(
  row: Row,
  tallies: ReadonlyMap<string, Tally>,
  versions: ReadonlyMap<string, number>,
): SaidTwice[] {
  const accountId = textOf(row, 'id')
  const { debt, overage } = tallies.get(accountId) ?? NO_ENTRIES
  const of = (column: string): number => numberOf(row, column)
  const said = { debt_micros: of('debt_micros'), overage_micros: of('overage_micros') }
  const newest = versions.get(accountId) ?? 0
  const isSame = said.debt_micros === -debt && said.overage_micros === -overage
  if (isSame && of('version') >= newest) return []
  const counted = { debt_micros: 0 - debt, overage_micros: 0 - overage, receipts_version: newest }
  return [{ accountId, said: { ...said, version: of('version') }, counted }]
}

interface LotTwice {
  readonly accountId: string
  readonly lotId: string
  readonly said: Pick<LotSaid, 'remaining' | 'expired'>
  readonly counted: Pick<LotSaid, 'remaining' | 'expired'>
}

const EMPTY = { remaining: 0, expired: 0 }

/** Lots that say something, or of which entries do. */
function* lotsOf(
  said: ReadonlyMap<string, LotSaid>,
  counted: ReadonlyMap<string, LotSaid>,
): Generator<LotTwice> {
  for (const [name, one] of said) {
    const { accountId, lotId } = one
    yield { accountId, lotId, said: one, counted: counted.get(name) ?? EMPTY }
  }
  for (const [name, one] of counted) {
    const { accountId, lotId } = one
    if (!said.has(name)) yield { accountId, lotId, said: EMPTY, counted: one }
  }
}

function lotBreach({ accountId, lotId, said, counted }: LotTwice): Breach[] {
  if (said.remaining === counted.remaining) return []
  const detail = `lot holds ${said.remaining}, entries ${counted.remaining}`
  return [{ invariant: 'I1', accountId, subject: lotId, detail }]
}

function expiryDifference({
  accountId,
  lotId,
  said,
  counted,
}: LotTwice): CheckedPage['expiries'][number][] {
  if (said.expired === counted.expired) return []
  const [here, there] = [{ expired_micros: said.expired }, { expired_micros: counted.expired }]
  return [{ lotId, accountId, said: here, counted: there }]
}

function holdBreach(hold: {
  readonly accountId: string
  readonly holdId: string
  readonly chargedMicros: number | null
  readonly movedMicros: number
}): Breach {
  const { accountId, holdId, chargedMicros, movedMicros } = hold
  const detail = `receipt ${chargedMicros ?? 'none'}, entries took ${movedMicros}`
  return { invariant: 'I9', accountId, subject: holdId, detail }
}
