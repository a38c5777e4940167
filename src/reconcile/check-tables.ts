import { RECONCILE_ROWS_MAX } from '../kernel/limits/books.ts'
import type { Row, Tx } from '../store/db.ts'
import { microsOf, orNull, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { Check } from './check.ts'
import type { Drift, DriftKind } from './drift.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'twice-sales',
  'twice-checkouts',
  'twice-customers',
  'several-subscriptions',
])

type Part = Pick<Drift, 'kind' | 'subject' | 'evidence'> & Partial<Drift>

const drift = (part: Part): Drift => ({
  ...{ severity: 'review', direction: null, atStakeMicros: null, repair: null },
  ...part,
})

function saleDrift(row: Row): Drift {
  const [sale, lot] = [orNull(row, 'sale_micros', microsOf), orNull(row, 'lot_micros', microsOf)]
  const evidence = {
    account_id: textOf(row, 'account_id'),
    sale_micros: sale,
    lot_micros: lot,
    payment: orNull(row, 'payment_id', textOf),
  }
  const subject = textOf(row, 'key')
  if (lot === null) {
    const wronged = { severity: 'urgent', direction: 'paid_but_blocked' } as const
    return drift({ kind: 'sale_without_lot', subject, evidence, ...wronged, atStakeMicros: sale })
  }
  if (sale === null) {
    const direction = 'unpaid_but_active'
    return drift({ kind: 'lot_without_sale', subject, evidence, direction, atStakeMicros: lot })
  }
  return drift({
    kind: 'sale_amount_differs',
    subject,
    evidence,
    atStakeMicros: Math.abs(sale - lot),
  })
}

const checkoutDrift = (row: Row): Drift =>
  drift({
    kind: 'checkout_state_differs',
    subject: textOf(row, 'id'),
    atStakeMicros: microsOf(row, 'micros'),
    evidence: {
      account_id: textOf(row, 'account_id'),
      checkout: textOf(row, 'state'),
      sale: orNull(row, 'key', textOf),
      session: orNull(row, 'session_id', textOf),
    },
  })

const customerDrift = (row: Row): Drift =>
  drift({
    kind: 'customer_link_differs',
    subject: `${textOf(row, 'id')} ${textOf(row, 'source')}`,
    evidence: {
      account_id: textOf(row, 'id'),
      account: orNull(row, 'stripe_customer_id', textOf),
      [textOf(row, 'source')]: textOf(row, 'customer_id'),
    },
  })

const severalDrift = (row: Row): Drift =>
  drift({
    kind: 'several_subscriptions',
    subject: textOf(row, 'account_id'),
    evidence: { subscriptions: row.ids },
  })

/** Tables of our own that say the same thing twice, each in one statement. */
export function checksOfTables(db: Tx): readonly Check[] {
  const of = (
    name: string,
    text: string,
    kinds: readonly DriftKind[],
    read: (row: Row) => Drift,
  ): Check => ({
    name,
    kinds,
    isOfTime: false,
    async page(_cursor, { untilMs }) {
      const rows = await db.query(text, [new Date(untilMs), RECONCILE_ROWS_MAX])
      return { drifts: rows.map(read), seen: rows.length, next: null }
    },
  })
  const sales = ['sale_without_lot', 'lot_without_sale', 'sale_amount_differs'] as const
  const several = sql['several-subscriptions']
  return [
    of('sales', sql['twice-sales'], sales, saleDrift),
    of('checkouts', sql['twice-checkouts'], ['checkout_state_differs'], checkoutDrift),
    of('customers', sql['twice-customers'], ['customer_link_differs'], customerDrift),
    of('subscriptions', several, ['several_subscriptions'], severalDrift),
  ]
}
