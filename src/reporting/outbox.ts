import type { Micros } from '../kernel/money.ts'
import type { Posted } from '../ledger/posting-ledger.ts'
import type { Statement } from '../ledger/sheets.ts'
import type { Tx } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'
import type { MeterBook, MeteredPlan } from './config.ts'
import { isOfUnits, measure, type Measured } from './measure.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'insert-measured',
  'take-back-units',
  'take-back-hold',
])

interface Metered {
  readonly posting: Posted
  readonly plan: MeteredPlan
}

/** Those whose account is on a plan with meters. A hold given back before is nobody's usage. */
function meteredOf(postings: readonly Posted[], book: MeterBook): Metered[] {
  if (book.plans.length === 0) return []
  return postings.flatMap((posting) => {
    const { meterPlan } = posting.account
    const plan = meterPlan === null || posting.isVoid ? null : book.planOf(meterPlan)
    return plan === null ? [] : [{ posting, plan }]
  })
}

const rowOf = ({ posting, plan }: Metered, measured: Measured) => ({
  account_id: posting.receipt.accountId,
  plan_id: plan.id,
  meter: measured.meter,
  mode: plan.mode,
  dimensions: measured.dimensions,
  hold_id: posting.receipt.holdId,
  used_at: new Date(posting.receipt.reservedAtMs).toISOString(),
  quantity: measured.quantity.toString(),
  overage_micros: measured.overageMicros,
})

/**
 * What a batch of postings writes for Stripe's meters: nothing, or one statement; where a receipt
 * corrects an earlier one of its hold and units are counted, another one before it.
 */
export function meterStatements(
  postings: readonly Posted[],
  book: MeterBook,
  nowMs: number,
): Statement[] {
  const metered = meteredOf(postings, book)
  const rows = metered.flatMap((one) =>
    measure(one.plan, one.posting).map((measured) => rowOf(one, measured)),
  )
  const now = new Date(nowMs)
  const corrected = metered.filter(({ posting }) => posting.receipt.rev === 2 && posting.late)
  // Of all plans: the earlier receipt may have been of another one.
  const units = new Set(
    book.plans.flatMap(({ meters }) => meters.filter(isOfUnits).map(({ name }) => name)),
  )
  const statements: Statement[] = []
  if (units.size > 0 && corrected.length > 0) {
    const holds = corrected.map(({ posting }) => posting.receipt.holdId)
    statements.push({ sql: sql['take-back-units'], params: [holds, [...units], now] })
  }
  if (rows.length > 0) {
    statements.push({ sql: sql['insert-measured'], params: [JSON.stringify(rows), now] })
  }
  return statements
}

/** What an operator's reversal of a hold takes back from the meters. Source: design §5. */
export async function takeBackHold(
  tx: Tx,
  { holdId, overageMicros }: { readonly holdId: string; readonly overageMicros: Micros },
  nowMs: number,
): Promise<void> {
  await tx.query(sql['take-back-hold'], [holdId, overageMicros, new Date(nowMs)])
}
