import type Stripe from 'stripe'
import type { Clock } from '../kernel/clock.ts'
import type { Db } from '../store/db.ts'
import { numberOf, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { UsageWatch } from './invoices.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['read-report'])

export interface LookBackDeps {
  readonly db: Db
  readonly clock: Clock
  readonly stripe: Pick<Stripe, 'invoices'>
  readonly watch: UsageWatch
}

/** More than a customer gets while reports are kept. */
const INVOICES_MAX = 1_000

/**
 * Looks at the invoices that a report's customer got since its time: one of which nobody heard may
 * bill it, and what is moved then would be billed twice.
 */
export async function lookSince(deps: LookBackDeps, id: string): Promise<void> {
  const { db, clock, stripe, watch } = deps
  const [found] = await db.query(sql['read-report'], [id])
  if (found === undefined) return
  const customer = textOf(found, 'customer_id')
  const created = { gte: Math.floor(numberOf(found, 'at') / 1000) }
  const made = await stripe.invoices
    .list({ customer, created, limit: 100 })
    .autoPagingToArray({ limit: INVOICES_MAX })
  for (const invoice of made) {
    const write = await watch('invoice', invoice.id)
    if (write !== null) await db.tx((tx) => write(tx, clock.now()))
  }
}
