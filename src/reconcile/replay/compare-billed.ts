import { addMicros, ZERO, type Micros } from '../../kernel/money.ts'
import type { Tx } from '../../store/db.ts'
import { microsOf, numberOf, orNull, textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import type { Difference } from './difference.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['read-billed'])

/** What Stripe says of an invoice. null = it has none such. */
export type InvoiceState = (
  id: string,
) => Promise<{ readonly customer: string | null; readonly status: string } | null>

/** Overage that invoices closed. */
export interface Billed {
  readonly invoices: number
  readonly entries: number
  readonly micros: Micros
}

export const NOTHING_BILLED: Billed = { invoices: 0, entries: 0, micros: ZERO }

export const addBilled = (a: Billed, b: Billed): Billed => ({
  invoices: a.invoices + b.invoices,
  entries: a.entries + b.entries,
  micros: addMicros(a.micros, b.micros),
})

/** Finalised, whatever became of it since: only what was final is made void. */
const FINAL = new Set(['open', 'paid', 'uncollectible', 'void'])

/** What an invoice closed of an account's overage. */
export interface Closed {
  readonly accountId: string
  /** Of Stripe's; null = the account has none. */
  readonly customer: string | null
  readonly invoice: string
  readonly micros: Micros
}

/** null = the invoice is there, final, and the customer's. Pure. */
export function judgeClosed(
  { accountId, customer, invoice, micros }: Closed,
  found: Awaited<ReturnType<InvoiceState>>,
): Difference | null {
  const about = { accountId, key: invoice, op: `billed:${invoice}`, what: 'billed' } as const
  if (found === null) {
    return { ...about, direction: 'only_in_source', source: micros, replay: null }
  }
  const isTheirs = found.customer === customer
  if (isTheirs && FINAL.has(found.status)) return null
  const replay = isTheirs ? found.status : `of ${found.customer ?? 'nobody'}`
  return { ...about, direction: 'differs', source: micros, replay }
}

/**
 * Every `billed` entry against the invoice that it names: it must be there, be final, and be the
 * customer's of the account. How much it closed cannot be made again: that is the least of the
 * overage that was open and of what Stripe was told in time, and both follow from usage, which
 * neither Stripe nor its events have. Source: design §7.
 */
export async function compareBilled(
  source: Tx,
  invoiceState: InvoiceState,
  accounts: readonly string[],
): Promise<{ readonly billed: Billed; readonly differences: readonly Difference[] }> {
  let billed = NOTHING_BILLED
  const differences: Difference[] = []
  for (const row of await source.query(sql['read-billed'], [accounts])) {
    const closed = {
      ...{ accountId: textOf(row, 'account_id'), customer: orNull(row, 'customer', textOf) },
      ...{ invoice: textOf(row, 'invoice'), micros: microsOf(row, 'micros') },
    }
    const { micros } = closed
    billed = addBilled(billed, { invoices: 1, entries: numberOf(row, 'entries'), micros })
    const difference = judgeClosed(closed, await invoiceState(closed.invoice))
    if (difference !== null) differences.push(difference)
  }
  return { billed, differences }
}
