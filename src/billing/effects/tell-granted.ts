import { addMicros, formatCredits, subMicros, ZERO, type Micros } from '../../kernel/money.ts'
import type { Tx } from '../../store/db.ts'
import { microsOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import type { Tell } from '../tell.ts'

const sql = loadSql(new URL('../sql/', import.meta.url), ['read-posted'])

/** A lot that was granted just now. */
export interface GrantedSale {
  readonly key: string
  readonly micros: Micros
  /** Taken back of it at once: a refund that came before its grant. */
  readonly takenMicros: Micros
}

/** Tells an account of what it was granted, in the transaction that grants it: once, in one. */
export async function tellGranted(
  tx: Tx,
  tell: Tell,
  accountId: string,
  granted: readonly GrantedSale[],
  nowMs: number,
): Promise<void> {
  const credits = granted.reduce(
    (sum, one) => addMicros(sum, subMicros(one.micros, one.takenMicros)),
    ZERO,
  )
  const [first] = granted.map(({ key }) => key).toSorted()
  if (first === undefined || credits <= 0) return
  const [row] = await tx.query(sql['read-posted'], [accountId])
  if (row === undefined) throw new Error(`account ${accountId} is gone`)
  const available = formatCredits(microsOf(row, 'posted_micros'))
  const occasion = `credits_received:${first}`
  const data = { credits: formatCredits(credits), available }
  await tell({ kind: 'credits_received', occasion, accountId, data }, nowMs, tx)
}
