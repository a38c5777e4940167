import { HOUR_MS, type Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import {
  METER_CANCEL_MS_MAX,
  METER_SEAL_ACCOUNTS_MAX,
  METER_SEAL_GRACE_MS,
  METER_SEAL_ROWS_MAX,
} from '../kernel/limits/meters.ts'
import type { Db, Row, Tx } from '../store/db.ts'
import { flagOf, microsOf, numberOf, orNull, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { MeterBook } from './config.ts'
import type { NoteFinding } from './findings.ts'
import { planSlot, wholeUnits, type NewReport, type Series } from './report.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'due-accounts',
  'lock-seal',
  'take-usage',
  'customer-of-account',
  'advance-series',
  'slot-state',
  'final-period',
  'insert-reports',
  'wake-lanes',
])

export interface SealDeps {
  readonly db: Db
  readonly book: () => MeterBook
  readonly note: NoteFinding
  readonly clock: Clock
  readonly ids: Ids
}

const wholeSecond = (ms: number): number => Math.floor(ms / 1000) * 1000

/** Whose usage it is, and where it goes. */
interface Payer {
  readonly accountId: string
  readonly customerId: string
  /** Why the customer takes nothing any more; null = it does. */
  readonly gone: string | null
  /** Whether there will be another invoice with its usage. */
  readonly isMetered: boolean
}

/** What becomes of a report that is not to be sent. */
interface Fate {
  readonly state: 'refused' | 'late'
  readonly note: string
}

async function payerOf(tx: Tx, accountId: string): Promise<Payer | null> {
  const [row] = await tx.query(sql['customer-of-account'], [accountId])
  const customerId = row === undefined ? null : orNull(row, 'customer_id', textOf)
  if (row === undefined || customerId === null) return null
  const isMetered = orNull(row, 'meter_plan', textOf) !== null
  return { accountId, customerId, gone: orNull(row, 'gone', textOf), isMetered }
}

async function unitsOf(tx: Tx, series: Series, quantity: string): Promise<bigint> {
  const key = [series.accountId, series.meter, series.dimensions]
  const [row] = await tx.query(sql['advance-series'], [...key, quantity])
  if (row === undefined) throw new Error('unreachable: the series is there')
  const after = BigInt(textOf(row, 'sealed'))
  return wholeUnits(after - BigInt(quantity), after)
}

/** The last rev of a slot, and an event of it that Stripe would still cancel. */
export async function slotState(tx: Tx, series: Series, slotMs: number, nowMs: number) {
  const key = [series.accountId, series.meter, series.dimensions, new Date(slotMs)]
  const since = new Date(nowMs - METER_CANCEL_MS_MAX)
  const [row] = await tx.query(sql['slot-state'], [
    ...[...key, since, series.customerId, series.eventName],
  ])
  if (row === undefined) throw new Error('unreachable: a maximum has a row')
  const id = orNull(row, 'id', textOf)
  const rev = numberOf(row, 'rev')
  if (id === null) return { rev, cancelable: null }
  const overageMicros = microsOf(row, 'overage_micros')
  return { rev, cancelable: { id, value: numberOf(row, 'value'), overageMicros } }
}

/** The final invoice of a moment; null = it is still open. */
export async function finalInvoice(tx: Tx, series: Series, atMs: number): Promise<string | null> {
  const key = [series.accountId, series.eventName, new Date(atMs)]
  const [final] = await tx.query(sql['final-period'], key)
  return final === undefined ? null : textOf(final, 'invoice_id')
}

/**
 * When Stripe is told it happened: then, or where the invoice for then is final now, so that the
 * next one bills it.
 */
async function timeOf(tx: Tx, series: Series, row: Row, nowMs: number) {
  const usedMs = wholeSecond(numberOf(row, 'used_at'))
  const slotMs = numberOf(row, 'slot_at')
  // The whole second may lie before a period that began within it.
  const atMs = Math.max(usedMs, Math.ceil(slotMs / 1000) * 1000)
  const final = await finalInvoice(tx, series, atMs)
  if (final === null) return { slotMs, atMs, final }
  return { slotMs: Math.floor(nowMs / HOUR_MS) * HOUR_MS, atMs: wholeSecond(nowMs), final }
}

function fateOf({ gone, isMetered }: Payer, final: string | null): Fate | null {
  if (gone !== null) return { state: 'refused', note: gone }
  if (final === null || isMetered) return null
  return { state: 'late', note: `${final} was final and no other invoice will come` }
}

async function sealGroup(tx: Tx, deps: SealDeps, of: Sealing, row: Row): Promise<void> {
  const { payer, nowMs } = of
  const { accountId, customerId } = payer
  const meter = textOf(row, 'meter')
  const eventName = deps.book().meterOf(meter)?.eventName ?? meter
  const dimensions = textOf(row, 'dimensions')
  const series: Series = { accountId, customerId, meter, eventName, dimensions }
  const value = await unitsOf(tx, series, textOf(row, 'quantity'))
  const overageMicros = microsOf(row, 'overage_micros')
  if (value === 0n && overageMicros === 0) return
  const { slotMs, atMs, final } = await timeOf(tx, series, row, nowMs)
  const last = await slotState(tx, series, slotMs, nowMs)
  const reports = planSlot(series, { slotMs, atMs, value, overageMicros }, last)
  const fate = fateOf(payer, final)
  await keepReports(tx, reports, { ...of, fate })
  if (fate === null) return
  const kind = fate.state === 'late' ? 'meter_late' : 'meter_customer_gone'
  const subject = reports[0]?.identifier ?? customerId
  const evidence = { account_id: accountId, customer_id: customerId, event_name: eventName }
  const amounts = { value: value.toString(), overage_micros: overageMicros, reason: fate.note }
  const atStakeMicros = Math.abs(overageMicros)
  const finding = { kind, severity: 'urgent', subject, atStakeMicros } as const
  await deps.note({ ...finding, evidence: { ...evidence, ...amounts } }, tx)
}

/** One transaction that seals. */
interface Sealing {
  readonly payer: Payer
  readonly sealingId: string
  readonly newId: () => string
  readonly nowMs: number
}

function stateOf(report: NewReport, fate: Fate | null) {
  if (report.value === 0) return { state: 'nothing', note: null }
  return fate ?? { state: 'ready', note: null }
}

const rowOf = (report: NewReport, { sealingId, newId, fate, successor = null }: Keeping) => ({
  ...{ id: newId(), sealing_id: sealingId, identifier: report.identifier, successor },
  ...{ account_id: report.accountId, customer_id: report.customerId, meter: report.meter },
  ...{ event_name: report.eventName, dimensions: report.dimensions },
  slot_at: new Date(report.slotMs).toISOString(),
  ...{ rev: report.rev, part: report.part, kind: report.kind, cancels: report.cancels },
  ...{ value: report.value, overage_micros: report.overageMicros },
  at: new Date(report.atMs).toISOString(),
  ...stateOf(report, fate),
})

interface Keeping extends Omit<Sealing, 'payer'> {
  readonly fate: Fate | null
  /** What took the place of what they take back; absent = they take nothing back. */
  readonly successor?: string | null
}

/** Keeps reports and wakes those who send them, in the caller's transaction. */
export async function keepReports(
  tx: Tx,
  reports: readonly NewReport[],
  of: Keeping,
): Promise<void> {
  const now = new Date(of.nowMs)
  const rows = reports.map((one) => rowOf(one, of))
  await tx.query(sql['insert-reports'], [JSON.stringify(rows), now])
  const lanes = [reports.map((one) => one.customerId), reports.map((one) => one.eventName)]
  await tx.query(sql['wake-lanes'], [...lanes, now])
}

/** Answers how many receipts were sealed; 0 = another process is at it, or there was nothing. */
async function sealAccount(
  tx: Tx,
  deps: SealDeps,
  due: { readonly accountId: string; readonly beforeMs: number },
  nowMs: number,
): Promise<number> {
  const { accountId, beforeMs } = due
  const [lock] = await tx.query(sql['lock-seal'], [accountId])
  if (lock === undefined || !flagOf(lock, 'is_mine')) return 0
  const payer = await payerOf(tx, accountId)
  if (payer === null) return 0
  const sealingId = deps.ids.uuid()
  const params = [accountId, new Date(beforeMs), sealingId, METER_SEAL_ROWS_MAX]
  const groups = await tx.query(sql['take-usage'], params)
  const newId = () => deps.ids.uuid()
  let taken = 0
  for (const row of groups) {
    taken += numberOf(row, 'rows')
    await sealGroup(tx, deps, { payer, sealingId, newId, nowMs }, row)
  }
  return taken
}

/**
 * Seals usage of the hours that are over into reports, account by account. Any number of processes
 * may do it at once. Answers how many receipts it sealed. Source: design §7 (sealed per customer,
 * meter and hour).
 */
export function makeSealer(deps: SealDeps) {
  const { db, clock } = deps
  return async (): Promise<number> => {
    let [sealed, after] = [0, '']
    for (;;) {
      const nowMs = clock.now()
      const hourMs = Math.floor((nowMs - METER_SEAL_GRACE_MS) / HOUR_MS) * HOUR_MS
      const params = [new Date(hourMs), new Date(nowMs), METER_SEAL_ACCOUNTS_MAX, after]
      const rows = await db.query(sql['due-accounts'], params)
      for (const row of rows) {
        const due = { accountId: textOf(row, 'account_id'), beforeMs: numberOf(row, 'before') }
        for (;;) {
          const taken = await db.tx((tx) => sealAccount(tx, deps, due, nowMs))
          sealed += taken
          if (taken < METER_SEAL_ROWS_MAX) break
        }
        after = due.accountId
      }
      if (rows.length < METER_SEAL_ACCOUNTS_MAX) return sealed
    }
  }
}
