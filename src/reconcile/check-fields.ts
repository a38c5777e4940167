import { PAGE_MAX } from '../kernel/limits/access.ts'
import type { Row, Tx } from '../store/db.ts'
import { orNull, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { Check } from './check.ts'
import type { Drift } from './drift.ts'

/**
 * Fields of our own tables that say the same thing twice and that no other comparison is about,
 * one statement each. Whoever adds such a field adds a pair: a test asks about every column.
 */
export const FIELD_PAIRS = [
  ...['fields-plan-overage', 'fields-meter-plan', 'fields-next-change', 'fields-lot-grant'],
  ...['fields-answer', 'fields-work', 'fields-draft', 'fields-checkout', 'fields-sale'],
  ...['fields-sale-subscription', 'fields-lot-state', 'fields-key-revoked', 'fields-freeze'],
  ...['fields-payment', 'fields-dispute', 'fields-recharge', 'fields-recharge-month'],
  ...['fields-dispute-account', 'fields-claim', 'fields-claim-sale'],
] as const
export type FieldPair = (typeof FIELD_PAIRS)[number]

const sql = loadSql(new URL('./sql/', import.meta.url), ['account-page', ...FIELD_PAIRS])

const nameOf = (pair: FieldPair): string => pair.replace('fields-', '')

const driftOf = (pair: FieldPair, row: Row): Drift => ({
  ...{ kind: 'fields_differ', severity: 'review', direction: null, repair: null },
  subject: `${nameOf(pair)} ${textOf(row, 'subject')}`,
  atStakeMicros: null,
  evidence: {
    ...{ pair: nameOf(pair), account_id: textOf(row, 'account_id') },
    ...{ one: orNull(row, 'one', textOf), other: orNull(row, 'other', textOf) },
  },
})

/** Every pair for a page of accounts. Each statement sees one moment. */
export const checkOfFields = (db: Tx): Check => ({
  name: 'fields',
  kinds: ['fields_differ'],
  isOfTime: false,
  async page(cursor, { untilMs }) {
    const accounts = await db.query(sql['account-page'], [cursor ?? '', null, PAGE_MAX])
    const last = accounts.at(-1)
    if (last === undefined) return { drifts: [], seen: 0, next: null }
    const to = textOf(last, 'id')
    const drifts: Drift[] = []
    for (const pair of FIELD_PAIRS) {
      const rows = await db.query(sql[pair], [cursor ?? '', to, new Date(untilMs)])
      drifts.push(...rows.map((row) => driftOf(pair, row)))
    }
    return { drifts, seen: accounts.length, next: accounts.length < PAGE_MAX ? null : to }
  },
})
