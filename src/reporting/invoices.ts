import type Stripe from 'stripe'
import { addMicros, minMicros, subMicros, ZERO } from '../kernel/money.ts'
import type { Ids } from '../kernel/ids.ts'
import { moveLine, type Op } from '../ledger/sheet.ts'
import { openSheet, writeChange } from '../ledger/sheets.ts'
import type { Db, Tx } from '../store/db.ts'
import { microsOf, numberOf, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { MeterBook } from './config.ts'
import type { MeterDirectory } from './directory.ts'
import type { NoteFinding } from './findings.ts'
import { judgeInvoice } from './judge.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'account-of-customer',
  'note-period',
  'take-billable',
  'read-surplus',
  'keep-surplus',
  'closed-by-invoice',
  'count-billed',
  'unclosed-periods',
  'stop',
  'wake-customer',
  'has-reports',
])

export interface WatchDeps {
  readonly db: Db
  readonly stripe: Pick<Stripe, 'invoices' | 'prices' | 'customers'>
  readonly directory: MeterDirectory
  readonly book: () => MeterBook
  readonly note: NoteFinding
  readonly ids: Ids
}

/** Writes what was seen, in the caller's transaction; answers the accounts that changed. */
export type WriteSeen = (tx: Tx, nowMs: number) => Promise<readonly string[]>

/** What of an invoice is usage: a meter and a time. */
interface Period {
  readonly eventName: string
  readonly startMs: number
  readonly endMs: number
  /** Units that the invoice bills; of several prices together. */
  readonly quantity: number
}

interface Seen {
  readonly id: string
  readonly status: string
  readonly customer: string | null
  /** null = it is a draft. */
  readonly finalMs: number | null
  readonly periods: readonly Period[]
}

/** More lines than an invoice has. */
const LINES_MAX = 10_000
/** A void one was final before: it closed its usage, whether anybody looked at it then or not. */
const FINAL = ['open', 'paid', 'uncollectible', 'void']

const idOf = (value: string | { readonly id: string } | null | undefined): string | null =>
  value === null || value === undefined ? null : typeof value === 'string' ? value : value.id

async function periodOf(
  { stripe, directory }: WatchDeps,
  line: Stripe.InvoiceLineItem,
): Promise<Period | null> {
  const details = line.parent?.subscription_item_details
  const price = idOf(line.pricing?.price_details?.price)
  if (details === undefined || details === null || details.proration || price === null) return null
  const meterId = (await stripe.prices.retrieve(price)).recurring?.meter ?? null
  const meter = meterId === null ? null : await directory.byId(meterId)
  if (meter === null) return null
  const { start, end } = line.period
  const { eventName } = meter
  return { eventName, startMs: start * 1000, endMs: end * 1000, quantity: line.quantity ?? 0 }
}

/** One period a meter: several prices may be of one. */
function merged(periods: readonly Period[]): Period[] {
  const byEvent = Map.groupBy(periods, ({ eventName }) => eventName)
  return [...byEvent].map(([eventName, of]) => ({
    eventName,
    startMs: Math.min(...of.map(({ startMs }) => startMs)),
    endMs: Math.max(...of.map(({ endMs }) => endMs)),
    quantity: of.reduce((sum, { quantity }) => sum + quantity, 0),
  }))
}

async function readInvoice(deps: WatchDeps, id: string): Promise<Seen> {
  const { invoices } = deps.stripe
  const invoice = await invoices.retrieve(id)
  const lines = await invoices
    .listLineItems(id, { limit: 100 })
    .autoPagingToArray({ limit: LINES_MAX })
  const periods = await Promise.all(lines.map((line) => periodOf(deps, line)))
  const customer = idOf(invoice.customer)
  const found = merged(periods.filter((period) => period !== null))
  const status = invoice.status ?? 'draft'
  const finalS = invoice.status_transitions.finalized_at ?? invoice.created
  const finalMs = FINAL.includes(status) ? finalS * 1000 : null
  return { id, status, customer, finalMs, periods: found }
}

/** A final invoice of a meter. */
export interface Closing {
  readonly accountId: string
  readonly invoice: string
  readonly period: Pick<Period, 'eventName' | 'startMs' | 'endMs'>
  readonly finalMs: number
  readonly nowMs: number
}

/**
 * Closes the overage that a final invoice bills; the same again does nothing. What was given back
 * after Stripe was told of it is billed beyond the open overage: that much of the next is paid.
 */
async function close(tx: Tx, deps: WatchDeps, of: Closing): Promise<boolean> {
  const { accountId, invoice, period, finalMs, nowMs } = of
  const context = { nowMs, newId: () => deps.ids.uuid() }
  const sheet = await openSheet(tx, accountId, [], context)
  if (sheet === null) return false
  const { eventName, startMs, endMs } = period
  const key = [accountId, eventName, new Date(startMs), new Date(endMs)]
  const [row] = await tx.query(sql['take-billable'], [...key, invoice, new Date(finalMs)])
  const told = row === undefined ? ZERO : microsOf(row, 'micros')
  if (told <= 0) return false
  const [known] = await tx.query(sql['read-surplus'], [accountId, eventName])
  const paid = known === undefined ? told : addMicros(told, microsOf(known, 'micros'))
  const amount = minMicros(paid, sheet.account.overageMicros)
  const surplus = subMicros(paid, amount)
  if (surplus > 0 || known !== undefined) {
    await tx.query(sql['keep-surplus'], [accountId, eventName, surplus])
  }
  if (amount <= 0) return false
  const name = `billed:${invoice}:${eventName}`
  const [count] = await tx.query(sql['count-billed'], [name])
  const before = count === undefined ? 0 : numberOf(count, 'entries')
  const id = before === 0 ? name : `${name}#${before + 1}`
  const op: Op = { id, referenceType: 'invoice', referenceId: invoice, reason: eventName }
  moveLine(sheet, 'overage', 'billed', amount, op)
  await writeChange(tx, sheet)
  return true
}

async function writeInvoice(tx: Tx, deps: WatchDeps, seen: Seen, nowMs: number) {
  const [row] = await tx.query(sql['account-of-customer'], [seen.customer])
  if (row === undefined) return []
  const accountId = textOf(row, 'id')
  const { finalMs } = seen
  let changed = false
  for (const period of seen.periods) {
    const { eventName, startMs, endMs } = period
    const final = finalMs === null ? null : new Date(finalMs)
    const times = [new Date(startMs), new Date(endMs), final]
    await tx.query(sql['note-period'], [seen.id, eventName, accountId, ...times])
    if (finalMs !== null) {
      const of = { accountId, invoice: seen.id, period, finalMs, nowMs }
      changed = (await close(tx, deps, of)) || changed
      await judgeInvoice(tx, deps, { ...of, quantity: period.quantity })
    }
    if (seen.status === 'void') await noteVoid(tx, deps, { accountId, seen, period })
  }
  return changed ? [accountId] : []
}

const VOID_TO_DO =
  'its usage was closed when it was final, and is on no other invoice. If it is to be paid, bill ' +
  'it by hand in Stripe; if not, explain this finding'

async function noteVoid(
  tx: Tx,
  { note }: WatchDeps,
  of: { readonly accountId: string; readonly seen: Seen; readonly period: Period },
): Promise<void> {
  const { accountId, seen, period } = of
  const { eventName, quantity } = period
  const [row] = await tx.query(sql['closed-by-invoice'], [accountId, eventName, seen.id])
  const overage = row === undefined ? ZERO : microsOf(row, 'micros')
  if (quantity === 0 && overage === 0) return
  const evidence = {
    ...{ account_id: accountId, customer_id: seen.customer, invoice: seen.id },
    ...{ event_name: eventName, billed_quantity: quantity, overage_micros: overage },
    to_do: VOID_TO_DO,
  }
  const finding = { kind: 'meter_invoice_void', severity: 'review' } as const
  const subject = `${seen.id}:${eventName}`
  await note({ ...finding, subject, evidence, atStakeMicros: Math.abs(overage) }, tx)
}

/** Invoices looked at in one round; the rest has its turn in the next. */
const UNCLOSED_MAX = 100
/** Older ones were closed, or told to a person. */
const UNCLOSED_MS = 40 * 24 * 3_600_000

/**
 * Closes what was found to be on a final invoice after it was looked at. Answers the accounts that
 * changed.
 */
export async function closeRest(deps: WatchDeps, nowMs: number): Promise<readonly string[]> {
  const params = [new Date(nowMs - UNCLOSED_MS), UNCLOSED_MAX]
  const changed: string[] = []
  for (const row of await deps.db.query(sql['unclosed-periods'], params)) {
    const accountId = textOf(row, 'account_id')
    const of = {
      ...{ accountId, invoice: textOf(row, 'invoice_id'), nowMs },
      finalMs: numberOf(row, 'finalized_at'),
      period: {
        eventName: textOf(row, 'event_name'),
        startMs: numberOf(row, 'start_at'),
        endMs: numberOf(row, 'end_at'),
      },
    }
    if (await deps.db.tx((tx) => close(tx, deps, of))) changed.push(accountId)
  }
  return changed
}

async function stopCustomer(tx: Tx, id: string, nowMs: number): Promise<readonly string[]> {
  const now = new Date(nowMs)
  await tx.query(sql.stop, ['customer', id, 'the customer was deleted in Stripe', now])
  await tx.query(sql['wake-customer'], [id, now])
  return []
}

/** What was told while plans had meters is billed, whatever the configuration says now. */
const hasReports = async (db: Db): Promise<boolean> =>
  (await db.query(sql['has-reports'])).length > 0

/**
 * Looks at invoices and customers for what they mean to usage: the period's last usage is sealed
 * when its invoice is made, its overage closed when that is final, and nothing is told of a
 * customer that is gone. Reads first, so that nothing waits for Stripe in a transaction.
 * Source: design §1 (overage), stripe.md §3.
 */
export function makeUsageWatch(deps: WatchDeps) {
  return async (kind: string, id: string): Promise<WriteSeen | null> => {
    if (deps.book().plans.length === 0 && !(await hasReports(deps.db))) return null
    if (kind === 'customer') {
      const customer = await deps.stripe.customers.retrieve(id)
      return customer.deleted === true ? (tx, nowMs) => stopCustomer(tx, id, nowMs) : null
    }
    if (kind !== 'invoice') return null
    const seen = await readInvoice(deps, id)
    return seen.periods.length === 0 ? null : (tx, nowMs) => writeInvoice(tx, deps, seen, nowMs)
  }
}

export type UsageWatch = ReturnType<typeof makeUsageWatch>
