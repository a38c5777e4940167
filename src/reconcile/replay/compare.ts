import { REPLAY_ACCOUNTS_MAX, REPLAY_SHOWN_MAX } from '../../kernel/limits/replay.ts'
import { addMicros, ZERO, type Micros } from '../../kernel/money.ts'
import type { Row, Tx } from '../../store/db.ts'
import { microsOf, numberOf, orNull, textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import { compareAccess, type AccessSides } from './compare-access.ts'
import {
  addBilled,
  compareBilled,
  NOTHING_BILLED,
  type Billed,
  type InvoiceState,
} from './compare-billed.ts'
import type { Difference } from './difference.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'account-ids',
  'read-sale-sums',
  'count-apart',
])

/** What a ledger says of one sale. */
interface SaleSum {
  readonly grantedMicros: Micros
  readonly takenMicros: Micros
  /** Of its lot; null = it has none. */
  readonly kind: string | null
  readonly expiresAtMs: number | null
}

/** Entries that no event of Stripe's brought: they are not compared. */
export interface Apart {
  readonly referenceType: string
  readonly movementType: string
  readonly entries: number
  readonly micros: Micros
}

export interface Compared {
  readonly accounts: number
  readonly sales: number
  /** Overage that invoices closed, as the source has it. */
  readonly billed: Billed
  /** The first REPLAY_SHOWN_MAX of them. */
  readonly differences: readonly Difference[]
  readonly differencesTotal: number
  readonly apart: readonly Apart[]
}

type Sales = ReadonlyMap<string, SaleSum>

const readSum = (row: Row): SaleSum => ({
  grantedMicros: microsOf(row, 'granted'),
  takenMicros: microsOf(row, 'taken'),
  kind: orNull(row, 'kind', textOf),
  expiresAtMs: orNull(row, 'expires_at', numberOf),
})

const nameOf = (accountId: string, key: string): string => `${accountId} ${key}`

async function readSales(db: Tx, accounts: readonly string[]): Promise<Sales> {
  const rows = await db.query(sql['read-sale-sums'], [accounts])
  return new Map(
    rows.map((row) => [nameOf(textOf(row, 'account_id'), textOf(row, 'key')), readSum(row)]),
  )
}

const NOTHING: SaleSum = { grantedMicros: ZERO, takenMicros: ZERO, kind: null, expiresAtMs: null }

const timeOf = (ms: number | null): string => (ms === null ? 'never' : new Date(ms).toISOString())

/** How two ledgers differ about one sale. Pure. */
function differencesOf(
  accountId: string,
  key: string,
  source: SaleSum = NOTHING,
  replay: SaleSum = NOTHING,
): Difference[] {
  const found: Difference[] = []
  const add = (
    what: Difference['what'],
    one: Difference['source'],
    other: Difference['replay'],
  ): void => {
    const [isHere, isThere] = [one !== null, other !== null]
    const only = isHere ? 'only_in_source' : 'only_in_replay'
    const direction = isHere && isThere ? 'differs' : only
    const op = `${what === 'clawback' ? 'clawback' : 'grant'}:${key}`
    found.push({ accountId, key, op, what, direction, source: one, replay: other })
  }
  const amount = (micros: Micros): number | null => (micros === 0 ? null : micros)
  if (source.grantedMicros !== replay.grantedMicros) {
    add('grant', amount(source.grantedMicros), amount(replay.grantedMicros))
  }
  if (source.takenMicros !== replay.takenMicros) {
    add('clawback', amount(source.takenMicros), amount(replay.takenMicros))
  }
  // A lot that only one side has is told by its grant.
  if (source.kind === null || replay.kind === null) {
    const isTold = source.grantedMicros !== replay.grantedMicros
    if (source.kind !== replay.kind && !isTold) add('lot_kind', source.kind, replay.kind)
    return found
  }
  if (source.kind !== replay.kind) add('lot_kind', source.kind, replay.kind)
  if (source.expiresAtMs !== replay.expiresAtMs) {
    add('lot_expiry', timeOf(source.expiresAtMs), timeOf(replay.expiresAtMs))
  }
  return found
}

async function* pagesOf(source: Tx, only: readonly string[] | null): AsyncGenerator<string[]> {
  if (only !== null) {
    for (let at = 0; at < only.length; at += REPLAY_ACCOUNTS_MAX) {
      yield only.slice(at, at + REPLAY_ACCOUNTS_MAX)
    }
    return
  }
  let after = ''
  for (;;) {
    const rows = await source.query(sql['account-ids'], [after, REPLAY_ACCOUNTS_MAX])
    const ids = rows.map((row) => textOf(row, 'id'))
    const last = ids.at(-1)
    if (last === undefined) return
    yield ids
    after = last
  }
}

function addApart(sums: Map<string, Apart>, rows: readonly Row[]): void {
  for (const row of rows) {
    const [referenceType, movementType] = [
      textOf(row, 'reference_type'),
      textOf(row, 'movement_type'),
    ]
    const name = nameOf(referenceType, movementType)
    const before = sums.get(name) ?? { entries: 0, micros: ZERO }
    const entries = before.entries + numberOf(row, 'entries')
    const micros = addMicros(before.micros, microsOf(row, 'micros'))
    sums.set(name, { referenceType, movementType, entries, micros })
  }
}

async function compareSales(
  source: Tx,
  replay: Tx,
  ids: readonly string[],
): Promise<{ readonly sales: number; readonly found: readonly Difference[] }> {
  const [one, other] = await Promise.all([readSales(source, ids), readSales(replay, ids)])
  const names = new Set([...one.keys(), ...other.keys()])
  const found = [...names].flatMap((name) => {
    const at = name.indexOf(' ')
    const [accountId, key] = [name.slice(0, at), name.slice(at + 1)]
    return differencesOf(accountId, key, one.get(name), other.get(name))
  })
  return { sales: names.size, found }
}

export interface Sides extends AccessSides {
  readonly invoiceState: InvoiceState
}

/**
 * Sets a ledger against its replay: of every sale what was granted and what was taken back of it in
 * all, with the kind and the end of its lot; of every account what it is entitled to; of overage
 * that invoices closed, those invoices. In how many steps it came to that, and which lots a
 * clawback found filled, is of the order of events and of usage; ids and times are of the moment.
 * `only`: these accounts; null = all. Memory: the sales of REPLAY_ACCOUNTS_MAX accounts.
 */
export async function compareLedgers(
  sides: Sides,
  only: readonly string[] | null,
): Promise<Compared> {
  const { source, replay } = sides
  const differences: Difference[] = []
  const apart = new Map<string, Apart>()
  const count = { accounts: 0, sales: 0, differencesTotal: 0, billed: NOTHING_BILLED }
  const add = (found: readonly Difference[]): void => {
    count.differencesTotal += found.length
    differences.push(...found.slice(0, REPLAY_SHOWN_MAX - differences.length))
  }
  for await (const ids of pagesOf(source, only)) {
    const { sales, found } = await compareSales(source, replay, ids)
    add(found)
    for (const id of ids) {
      const access = await compareAccess(sides, id)
      if (access !== null) add([access])
    }
    const closed = await compareBilled(source, sides.invoiceState, ids)
    add(closed.differences)
    count.billed = addBilled(count.billed, closed.billed)
    addApart(apart, await source.query(sql['count-apart'], [ids]))
    count.accounts += ids.length
    count.sales += sales
  }
  return { ...count, differences, apart: [...apart.values()] }
}
