import type { Row, Tx } from '../store/db.ts'
import { numberOf, orNull, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  ...(['check-lots', 'check-entries-end', 'check-entries', 'check-charges'] as const),
  ...(['check-holds-end', 'check-holds', 'check-versions'] as const),
])

/** Accounts after one until another, passed so many rows a statement. */
export interface CheckRange {
  readonly after: string
  readonly until: string
  readonly rows: number
}

/** What the entries of an account come to. Micros. */
export interface Tally {
  micros: number
  debt: number
  overage: number
  entries: number
  lastSeq: number
}

/** What is on a lot, and what its expiry took. Micros. */
export interface LotSaid {
  readonly accountId: string
  readonly lotId: string
  remaining: number
  expired: number
}

/** A hold whose receipt and entries differ; chargedMicros null = it has no receipt. */
export interface WrongHold {
  readonly accountId: string
  readonly holdId: string
  readonly chargedMicros: number | null
  movedMicros: number
}

const GREATEST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

/** An entry of one account on the lot of another is on neither. */
const lotName = (accountId: string, lotId: string): string => `${accountId} ${lotId}`

export async function readLots(tx: Tx, range: CheckRange): Promise<Map<string, LotSaid>> {
  const lots = new Map<string, LotSaid>()
  let [account, id] = [range.after, GREATEST_ID]
  for (;;) {
    const rows = await tx.query(sql['check-lots'], [account, id, range.until, range.rows])
    for (const row of rows) {
      ;[account, id] = [textOf(row, 'account_id'), textOf(row, 'id')]
      const remaining = numberOf(row, 'remaining_micros')
      const expired = numberOf(row, 'expired_micros')
      lots.set(lotName(account, id), { accountId: account, lotId: id, remaining, expired })
    }
    if (rows.length < range.rows) return lots
  }
}

export interface EntriesSeen {
  readonly accounts: Map<string, Tally>
  readonly lots: Map<string, LotSaid>
  /** Charges without a receipt, by account and hold. */
  readonly orphans: Map<string, WrongHold>
}

function addEntries({ accounts, lots }: EntriesSeen, row: Row): void {
  const [accountId, line] = [textOf(row, 'account_id'), textOf(row, 'line')]
  const [micros, lotId] = [numberOf(row, 'micros'), orNull(row, 'lot_id', textOf)]
  const fresh = { micros: 0, debt: 0, overage: 0, entries: 0, lastSeq: 0 }
  const tally = accounts.get(accountId) ?? fresh
  accounts.set(accountId, tally)
  tally.micros += micros
  if (line === 'debt' || line === 'overage') tally[line] += micros
  tally.entries += numberOf(row, 'entries')
  tally.lastSeq = Math.max(tally.lastSeq, numberOf(row, 'last_seq'))
  if (lotId === null) return
  const name = lotName(accountId, lotId)
  const lot = lots.get(name) ?? { accountId, lotId, remaining: 0, expired: 0 }
  lots.set(name, lot)
  lot.remaining += micros
  lot.expired += numberOf(row, 'expired')
}

function addOrphan({ orphans }: EntriesSeen, row: Row): void {
  const [accountId, holdId] = [textOf(row, 'account_id'), textOf(row, 'hold_id')]
  const name = `${accountId} ${holdId}`
  const hold = orphans.get(name) ?? { accountId, holdId, chargedMicros: null, movedMicros: 0 }
  orphans.set(name, hold)
  hold.movedMicros += numberOf(row, 'moved_micros')
}

/** Everything that the entries of some accounts come to. Memory: their lots. */
export async function passEntries(tx: Tx, range: CheckRange): Promise<EntriesSeen> {
  const seen: EntriesSeen = { accounts: new Map(), lots: new Map(), orphans: new Map() }
  let from: readonly [string, number] = [range.after, Number.MAX_SAFE_INTEGER]
  for (;;) {
    const [end] = await tx.query(sql['check-entries-end'], [...from, range.until, range.rows - 1])
    const to =
      end === undefined
        ? ([range.until, Number.MAX_SAFE_INTEGER] as const)
        : ([textOf(end, 'account_id'), numberOf(end, 'seq')] as const)
    for (const row of await tx.query(sql['check-entries'], [...from, ...to])) addEntries(seen, row)
    for (const row of await tx.query(sql['check-charges'], [...from, ...to])) addOrphan(seen, row)
    if (end === undefined) return seen
    from = to
  }
}

export interface HoldsSeen {
  readonly wrong: WrongHold[]
  /** The newest version that an account's receipts name. */
  readonly versions: Map<string, number>
}

const wrongHold = (row: Row): WrongHold => ({
  accountId: textOf(row, 'account_id'),
  holdId: textOf(row, 'hold_id'),
  chargedMicros: numberOf(row, 'charged_micros'),
  movedMicros: numberOf(row, 'moved_micros'),
})

/** Every receipt of some accounts against the entries of its hold. */
export async function passHolds(tx: Tx, range: CheckRange): Promise<HoldsSeen> {
  const seen: HoldsSeen = { wrong: [], versions: new Map() }
  let from: readonly [string, string] = [range.after, GREATEST_ID]
  for (;;) {
    const [end] = await tx.query(sql['check-holds-end'], [...from, range.until, range.rows - 1])
    const to =
      end === undefined
        ? ([range.until, GREATEST_ID] as const)
        : ([textOf(end, 'account_id'), textOf(end, 'hold_id')] as const)
    const wrong = await tx.query(sql['check-holds'], [...from, ...to])
    seen.wrong.push(...wrong.map(wrongHold))
    for (const row of await tx.query(sql['check-versions'], [...from, ...to])) {
      const [account, version] = [textOf(row, 'account_id'), numberOf(row, 'version')]
      seen.versions.set(account, Math.max(version, seen.versions.get(account) ?? 0))
    }
    if (end === undefined) return seen
    from = to
  }
}
