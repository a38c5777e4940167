import { z } from 'zod'
import type { Tx } from '../../store/db.ts'
import { loadSql } from '../../store/sql.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'keep-stripe-features',
  'stripe-features-of',
])

export type Features = Readonly<Record<string, boolean | number>>

const keys = z.array(z.string())

/** Lookup keys of the features that Stripe says an account has. */
export async function stripeFeaturesOf(tx: Tx, accountId: string): Promise<readonly string[]> {
  const [row] = await tx.query(sql['stripe-features-of'], [accountId])
  return row === undefined ? [] : keys.parse(row.lookup_keys)
}

/** Replaces the whole set. */
export async function keepStripeFeatures(
  tx: Tx,
  accountId: string,
  lookupKeys: readonly string[],
  nowMs: number,
): Promise<void> {
  const sorted = [...new Set(lookupKeys)].toSorted()
  const params = [accountId, JSON.stringify(sorted), new Date(nowMs)]
  await tx.query(sql['keep-stripe-features'], params)
}

/** A flag that is on is more than any number. */
const worth = (value: boolean | number | undefined): number =>
  value === true ? Infinity : Number(value ?? 0)

/** Of each feature what is more: another source gives, and never takes away. */
export function withMore(features: Features, more: Features): Features {
  const better = Object.entries(more).filter(
    ([name, value]) => !Object.hasOwn(features, name) || worth(value) > worth(features[name]),
  )
  return better.length === 0 ? features : { ...features, ...Object.fromEntries(better) }
}
