import { isDeepStrictEqual } from 'node:util'
import type { PlanBook } from '../../access/plans/book.ts'
import { resolve, type Entitlements } from '../../access/plans/resolve.ts'
import { overridesOf, readEntitlements, subscriptionsOf } from '../../access/plans/rows.ts'
import type { Tx } from '../../store/db.ts'
import type { Difference } from './difference.ts'

export interface AccessSides {
  readonly source: Tx
  readonly replay: Tx
  /** Of the configuration that the command runs with. */
  readonly book: PlanBook
  readonly nowMs: number
}

/** When something changes of itself gives and takes nothing. */
const ruling = ({ paidThroughMs: _paid, nextChangeAtMs: _next, ...rest }: Entitlements) => rest

/** Only what is not alike: everything that a plan gives would hide it. */
function apart(one: object, other: object): [string, string] {
  const theirs = new Map(Object.entries(other))
  const differing = Object.entries(one).filter(
    ([name, value]) => !isDeepStrictEqual(value, theirs.get(name)),
  )
  const names = differing.map(([name]) => name)
  const text = (from: ReadonlyMap<string, unknown>): string =>
    names.map((name) => `${name} ${JSON.stringify(from.get(name))}`).join(', ')
  return [text(new Map(Object.entries(one))), text(theirs)]
}

/**
 * What an account is entitled to, as it is stored, against what follows from its subscriptions as
 * the replay found them. Exceptions are an operator's: the source's apply to both. null = alike.
 * Source: design §6 (I4, I10), §7.
 */
export async function compareAccess(
  { source, replay, book, nowMs }: AccessSides,
  accountId: string,
): Promise<Difference | null> {
  const stored = await readEntitlements(source, accountId)
  const subscriptions = await subscriptionsOf(replay, accountId)
  // Nothing follows for an account that was never touched by a subscription or an operator.
  if (stored === null && subscriptions.length === 0) return null
  const overrides = await overridesOf(source, accountId)
  const should = ruling(resolve({ subscriptions, overrides, book, nowMs }))
  const about = { accountId, key: accountId, op: 'access', what: 'access' } as const
  if (stored === null) {
    const [, replayed] = apart(
      ruling(resolve({ subscriptions: [], overrides: [], book, nowMs })),
      should,
    )
    if (replayed === '') return null
    return { ...about, direction: 'only_in_replay', source: null, replay: replayed }
  }
  const is = ruling(stored.is)
  if (isDeepStrictEqual(is, should)) return null
  const [one, other] = apart(is, should)
  const direction = subscriptions.length === 0 ? 'only_in_source' : 'differs'
  return { ...about, direction, source: one, replay: other }
}
