import type Stripe from 'stripe'
import type { Accounts } from '../access/accounts.ts'
import type { Account } from '../access/rows.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import { STRIPE_KEY_KEPT_MS } from '../kernel/limits/stripe.ts'
import type { Db } from '../store/db.ts'
import { numberOf, orNull, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import { isReplayedFailure } from './replayed.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'plan-customer',
  'find-customer',
  'replan-customer',
  'note-customer',
])

/** Customers made since one was planned; past them the search is asked. */
const LIST_MAX = 1_000
/** Clocks, and the time between the plan and the call. */
const LIST_BEFORE_S = 3_600

export interface CustomersDeps {
  readonly stripe: Pick<Stripe, 'customers'>
  readonly db: Db
  readonly accounts: Pick<Accounts, 'change' | 'read'>
  readonly clock: Clock
  readonly ids: Ids
}

interface Planned {
  readonly key: string
  readonly customerId: string | null
  readonly plannedAtMs: number
}

/** Stripe's customer of an account, made where it has none. */
export type EnsureCustomer = (account: Account) => Promise<string>

/** Account ids hold no quotes, so the text is safe in a query of Stripe's search. */
const queryOf = (accountId: string): string => `metadata['farebox_account']:'${accountId}'`

/** Made by somebody who could not note it; null = none is. The search lags, the list does not. */
async function findAt(
  { customers }: Pick<Stripe, 'customers'>,
  accountId: string,
  { plannedAtMs }: Planned,
): Promise<string | null> {
  const created = { gte: Math.floor(plannedAtMs / 1000) - LIST_BEFORE_S }
  const listed = await customers
    .list({ created, limit: 100 })
    .autoPagingToArray({ limit: LIST_MAX })
  const ours = listed.find(({ metadata }) => metadata.farebox_account === accountId)
  if (ours !== undefined) return ours.id
  const found = await customers.search({ query: queryOf(accountId), limit: 1 })
  return found.data[0]?.id ?? null
}

async function createAt(
  { customers }: Pick<Stripe, 'customers'>,
  accountId: string,
  key: string,
): Promise<string> {
  // Nothing that may change meanwhile: the same key must come with the same parameters.
  const params = { metadata: { farebox_account: accountId } }
  return (await customers.create(params, { idempotencyKey: `farebox-${key}` })).id
}

/**
 * The key of the call is a row before the call is made, so whoever repeats it after a crash gets
 * the same customer; once Stripe may have forgotten the key, or keeps a failure under it, it is
 * asked for the customer first.
 * Source: design §7 (planned first).
 */
export function makeEnsureCustomer(deps: CustomersDeps): EnsureCustomer {
  const { stripe, db, accounts, clock, ids } = deps

  async function plan(accountId: string): Promise<Planned> {
    await db.query(sql['plan-customer'], [accountId, ids.uuid(), new Date(clock.now())])
    const [row] = await db.query(sql['find-customer'], [accountId])
    if (row === undefined) throw new Error('unreachable: the row was just written')
    return {
      key: textOf(row, 'idempotency_key'),
      customerId: orNull(row, 'customer_id', textOf),
      plannedAtMs: numberOf(row, 'planned_at'),
    }
  }

  async function make(accountId: string, planned: Planned): Promise<string> {
    if (clock.now() - planned.plannedAtMs <= STRIPE_KEY_KEPT_MS) {
      try {
        return await createAt(stripe, accountId, planned.key)
      } catch (error) {
        if (!isReplayedFailure(error)) throw error
      }
    }
    // The key is forgotten, or leads to a failure for a day.
    const known = await findAt(stripe, accountId, planned)
    if (known !== null) return known
    const params = [accountId, planned.key, ids.uuid(), new Date(clock.now())]
    await db.query(sql['replan-customer'], params)
    return createAt(stripe, accountId, (await plan(accountId)).key)
  }

  return async (account) => {
    if (account.stripeCustomerId !== null) return account.stripeCustomerId
    const planned = await plan(account.id)
    const customerId = planned.customerId ?? (await make(account.id, planned))
    await db.query(sql['note-customer'], [account.id, customerId])
    const now = await accounts.read(account.id)
    if (now !== null && now.stripeCustomerId !== null) return now.stripeCustomerId
    await accounts.change(account.id, { stripeCustomerId: customerId }, 'stripe')
    const about = {
      name: account.name,
      ...(account.email === null ? {} : { email: account.email }),
    }
    await stripe.customers.update(customerId, about)
    return customerId
  }
}
