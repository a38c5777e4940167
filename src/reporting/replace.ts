import { HOUR_MS, type Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import { RECONCILE_UNBILLED_MS } from '../kernel/limits/books.ts'
import { METER_AGE_MS_MAX } from '../kernel/limits/meters.ts'
import { ZERO } from '../kernel/money.ts'
import type { Db, Row, Tx } from '../store/db.ts'
import { flagOf, microsOf, numberOf, orNull, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import { identifierOf, type NewReport, type ReportState, type Series } from './report.ts'
import { finalInvoice, keepReports, slotState } from './seal.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'find-report',
  'read-report',
  'replace-report',
  'move-report',
  'wait-seal',
])

export interface ReplaceDeps {
  readonly db: Db
  readonly clock: Clock
  readonly ids: Ids
}

const seriesOf = (row: Row, customer: 'customer_id' | 'payer_id'): Series => ({
  accountId: textOf(row, 'account_id'),
  customerId: textOf(row, customer),
  meter: textOf(row, 'meter'),
  eventName: textOf(row, 'event_name'),
  dimensions: textOf(row, 'dimensions'),
})

/** What Stripe is told. */
export type Told = Pick<NewReport, 'identifier' | 'atMs' | 'value'>

/** Where and when an event belongs. */
interface Moment {
  readonly slotMs: number
  readonly atMs: number
}

const thenOf = (row: Row): Moment => ({
  slotMs: numberOf(row, 'slot_at'),
  atMs: numberOf(row, 'at'),
})
const nowOf = (nowMs: number): Moment => ({
  slotMs: Math.floor(nowMs / HOUR_MS) * HOUR_MS,
  atMs: Math.floor(nowMs / 1000) * 1000,
})

/** Another event of the same series, under a name of its own. */
async function eventOf(
  tx: Tx,
  row: Row,
  of: Moment & { readonly customer: 'customer_id' | 'payer_id' },
  nowMs: number,
): Promise<NewReport> {
  const { slotMs, atMs } = of
  const series = seriesOf(row, of.customer)
  const { rev } = await slotState(tx, series, slotMs, nowMs)
  const place = { rev: rev + 1, part: 0 }
  return {
    ...{ ...series, ...place, identifier: identifierOf(series, slotMs, place), slotMs, atMs },
    ...{ kind: 'usage', cancels: null, value: numberOf(row, 'value') },
    overageMicros: microsOf(row, 'open_micros'),
  }
}

/**
 * The same usage at a time that is still open, for who pays by now. What sets its time right for
 * another stays there, whatever the invoice says.
 */
async function successorOf(tx: Tx, row: Row, nowMs: number, isNow: boolean): Promise<NewReport> {
  const isKept = orNull(row, 'successor', textOf) !== null
  if (isKept) return eventOf(tx, row, { ...thenOf(row), customer: 'customer_id' }, nowMs)
  const final = await finalInvoice(tx, seriesOf(row, 'payer_id'), numberOf(row, 'at'))
  const isMoved = isNow || final !== null
  const moment = isMoved ? nowOf(nowMs) : thenOf(row)
  return eventOf(tx, row, { ...moment, customer: 'payer_id' }, nowMs)
}

export interface Replacement {
  /** Only where it is in one of these states. */
  readonly states: readonly ReportState[]
  readonly note: string
  /** Dated now, whatever the invoice of its time says. */
  readonly isNow: boolean
  /** Of the other report; absent = a new one. */
  readonly newId?: string
}

/**
 * Puts another report in the place of one that Stripe does not have. null = there is no such
 * report; false = it is in another state.
 */
export async function replaceReport(
  { db, clock, ids }: ReplaceDeps,
  id: string,
  { states, note, isNow, newId = ids.uuid() }: Replacement,
): Promise<NewReport | false | null> {
  return db.tx(async (tx) => {
    const [found] = await tx.query(sql['read-report'], [id])
    if (found === undefined) return null
    await tx.query(sql['wait-seal'], [textOf(found, 'account_id')])
    const replaced = await tx.query(sql['replace-report'], [id, states, note, newId])
    if (replaced.length === 0) return false
    const nowMs = clock.now()
    const report = await successorOf(tx, found, nowMs, isNow)
    const sealing = { sealingId: ids.uuid(), newId: () => newId, nowMs, fate: null }
    const successor = orNull(found, 'successor', textOf)
    await keepReports(tx, [report], { ...sealing, successor })
    return report
  })
}

/**
 * Takes usage that Stripe was told when the invoice of its time was final, or of whose time there
 * is no invoice although the period is long over, to the next one: lowered
 * where it was, so that Stripe has it once, and told anew as of now. What is too old to be lowered,
 * or of a customer that is gone, stays there beside. null = there is no such report; false = an
 * invoice bills it, or will.
 */
export async function moveReport(
  { db, clock, ids }: ReplaceDeps,
  id: string,
  newId = ids.uuid(),
): Promise<NewReport | false | null> {
  return db.tx(async (tx) => {
    const [found] = await tx.query(sql['read-report'], [id])
    if (found === undefined) return null
    await tx.query(sql['wait-seal'], [textOf(found, 'account_id')])
    const nowMs = clock.now()
    const report = await eventOf(tx, found, { ...nowOf(nowMs), customer: 'payer_id' }, nowMs)
    const note = `on no invoice: told again as ${report.identifier}`
    const ended = new Date(nowMs - RECONCILE_UNBILLED_MS)
    const moved = await tx.query(sql['move-report'], [id, note, newId, ended])
    if (moved.length === 0) return false
    const sealing = { sealingId: ids.uuid(), nowMs, fate: null }
    await keepReports(tx, [report], { ...sealing, newId: () => newId })
    const isOld = nowMs - numberOf(found, 'at') >= METER_AGE_MS_MAX
    if (isOld || flagOf(found, 'is_gone')) return report
    const told = await eventOf(tx, found, { ...thenOf(found), customer: 'customer_id' }, nowMs)
    const lowered = { ...told, value: -told.value, overageMicros: ZERO }
    const lowering = { ...sealing, newId: () => ids.uuid(), successor: newId }
    await keepReports(tx, [lowered], lowering)
    return report
  })
}

/** What is told by a report of this id; null = there is none. */
export async function readTold(db: Db, id: string): Promise<Told | null> {
  const [row] = await db.query(sql['read-report'], [id])
  if (row === undefined) return null
  const [identifier, atMs] = [textOf(row, 'identifier'), numberOf(row, 'at')]
  return { identifier, atMs, value: numberOf(row, 'value') }
}

/** The id of a report that is named by its id or its identifier; null = there is none. */
export async function reportNamed(db: Db, name: string): Promise<string | null> {
  if (!name.startsWith('farebox_')) return name
  const [row] = await db.query(sql['find-report'], [name])
  return row === undefined ? null : textOf(row, 'id')
}
