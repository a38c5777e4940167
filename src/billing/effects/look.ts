import { STRIPE_LOOKS_MAX } from '../../kernel/limits/stripe.ts'
import type { Db, Tx } from '../../store/db.ts'
import { numberOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'

const sql = loadSql(new URL('../sql/', import.meta.url), ['read-look', 'take-look'])

/** Somebody else looked at the same and wrote it meanwhile: what was read here may be older. */
class StaleLookError extends Error {
  override readonly name = 'StaleLookError'
}

/** What one look found, to be written. */
export interface Look<T> {
  write(tx: Tx, nowMs: number): Promise<T>
}

/** How often a subject was looked at, before Stripe is asked about it. */
export async function readLook(db: Db, subject: string): Promise<number> {
  const [row] = await db.query(sql['read-look'], [subject])
  return row === undefined ? 0 : numberOf(row, 'number')
}

/** Counts a look in its transaction. Throws StaleLookError where another one came between. */
export async function takeLook(
  tx: Tx,
  subject: string,
  number: number,
  nowMs: number,
): Promise<void> {
  const taken = await tx.query(sql['take-look'], [subject, number, new Date(nowMs)])
  if (taken.length === 0) throw new StaleLookError(`${subject} was looked at meanwhile`)
}

/**
 * Looks at something of Stripe's and writes what follows. No two looks at one subject are written
 * over each other: whoever comes second looks again, and so sees at least what the first one saw.
 * Throws StaleLookError when that happens STRIPE_LOOKS_MAX times in a row. Source: design §7.
 */
export async function lookAndWrite<T>(
  deps: { readonly db: Db; readonly now: () => number },
  subject: string,
  look: () => Promise<Look<T>>,
): Promise<T> {
  const { db, now } = deps
  for (let tries = 1; ; tries += 1) {
    const number = await readLook(db, subject)
    const found = await look()
    try {
      return await db.tx(async (tx) => {
        const nowMs = now()
        await takeLook(tx, subject, number, nowMs)
        return found.write(tx, nowMs)
      })
    } catch (error) {
      if (!(error instanceof StaleLookError) || tries === STRIPE_LOOKS_MAX) throw error
    }
  }
}
