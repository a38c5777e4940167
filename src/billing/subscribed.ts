import Stripe from 'stripe'
import type { Clock } from '../kernel/clock.ts'
import { refuse, type Refusal } from '../kernel/errors.ts'
import type { Db } from '../store/db.ts'
import { textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { Effects } from './effects/effects.ts'
import { isMissing } from './effects/gone.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'standing-subscription',
  'open-plan-checkouts',
])

export interface SubscribedDeps {
  readonly stripe: Pick<Stripe, 'checkout'>
  readonly db: Db
  readonly effects: Effects
  readonly clock: Pick<Clock, 'now'>
}

interface Sold {
  readonly accountId: string
  readonly plan: string
}

const nothing = (): Promise<void> => Promise.resolve()

/** Of several pages for one plan the last one is paid on; what was paid on another is looked at. */
async function endPages(deps: SubscribedDeps, { accountId, plan }: Sold): Promise<void> {
  const params = [accountId, plan, new Date(deps.clock.now())]
  for (const row of await deps.db.query(sql['open-plan-checkouts'], params)) {
    const id = textOf(row, 'session_id')
    try {
      await deps.stripe.checkout.sessions.expire(id)
    } catch (error) {
      if (!(error instanceof Stripe.errors.StripeInvalidRequestError)) throw error
      // A page of another account of Stripe's, from before the key was changed.
      if (isMissing(error)) continue
    }
    await deps.effects.look({ kind: 'session', id }, nothing)
  }
}

async function standing({ db }: SubscribedDeps, { accountId, plan }: Sold): Promise<string | null> {
  const [row] = await db.query(sql['standing-subscription'], [accountId, plan])
  return row === undefined ? null : textOf(row, 'id')
}

/**
 * Why a plan is not sold to an account: it has it, and would pay for it twice. null = it is sold,
 * and nowhere else. What is known of Stripe is read again before. Throws what Stripe throws.
 */
export async function whyNotAgain(deps: SubscribedDeps, sold: Sold): Promise<Refusal | null> {
  await endPages(deps, sold)
  const known = await standing(deps, sold)
  if (known === null) return null
  await deps.effects.look({ kind: 'subscription', id: known }, nothing)
  if ((await standing(deps, sold)) === null) return null
  const how = 'Change, pay or end it in the customer portal.'
  return refuse('conflict', `This account has the plan ${sold.plan} already. ${how}`)
}
