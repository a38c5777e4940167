import { createHash } from 'node:crypto'
import type Stripe from 'stripe'
import type { Account } from '../access/rows.ts'
import type { Clock } from '../kernel/clock.ts'
import { isRefusal, refuse, type Refusal } from '../kernel/errors.ts'
import type { Ids } from '../kernel/ids.ts'
import { CHECKOUT_LOOK_MS_MIN } from '../kernel/limits/stripe.ts'
import { describeError, type Log } from '../kernel/log.ts'
import type { Db } from '../store/db.ts'
import type { Catalogue } from './catalogue.ts'
import { checkoutRows, type Checkout, type NewCheckout } from './checkout-rows.ts'
import type { EnsureCustomer } from './customers.ts'
import type { Effects } from './effects/effects.ts'
import { choosePrice, linesOfPlan, type LineAsked, type PriceChoice } from './plan-lines.ts'
import { makeOpenPortal } from './portal.ts'
import { refusalOfStripe } from './refusals.ts'
import { isReplayedFailure } from './replayed.ts'
import { whyNotAgain } from './subscribed.ts'

export interface CheckoutAsked {
  readonly item: {
    readonly kind: 'pack' | 'plan'
    readonly id: string
    /** Which of a plan's prices; absent = the first. */
    readonly choice?: PriceChoice
  }
  readonly successUrl: string
  readonly cancelUrl: string
  /** The caller's Idempotency-Key; null = every call is a new checkout. */
  readonly requestKey: string | null
  /** The card may be charged for recharges afterwards. Absent = it may not. */
  readonly keepsCard?: boolean
}

/** Buying a pack or a plan. Source: design §8. */
export interface Checkouts {
  /** Opens one. The same key of the same account again is the same checkout. */
  open(account: Account, asked: CheckoutAsked): Promise<Checkout | Refusal>
  /**
   * By our id or Stripe's, after a look at Stripe where it is not over. null = there is none, or
   * it is of another account than `accountId` (null = any).
   */
  read(id: string, accountId: string | null): Promise<Checkout | null>
  /** Stripe's customer portal. */
  portal(account: Account, returnUrl: string): Promise<{ readonly url: string } | Refusal>
}

export interface CheckoutsDeps {
  readonly stripe: Pick<Stripe, 'checkout' | 'billingPortal' | 'prices'>
  readonly db: Db
  readonly catalogue: () => Catalogue
  readonly ensureCustomer: EnsureCustomer
  readonly effects: Effects
  readonly clock: Clock
  readonly ids: Ids
  readonly log: Log
}

type Item = Pick<NewCheckout, 'itemKind' | 'itemId' | 'stripePrice' | 'micros' | 'expiresDays'>

/** What is sold, by the configuration; asks Stripe only which of a plan's prices is meant. */
async function itemOf(
  { stripe, catalogue }: CheckoutsDeps,
  { kind, id, choice }: CheckoutAsked['item'],
): Promise<Item | Refusal> {
  const unknown = refuse('not_found', `There is no ${kind} named ${id} here.`)
  if (kind === 'pack') {
    const pack = catalogue().pack(id)
    if (pack === null) return unknown
    const { stripe_price: stripePrice, credits, expires_days: expiresDays = null } = pack
    return { itemKind: kind, itemId: id, stripePrice, micros: credits, expiresDays }
  }
  const names = catalogue().plan(id)?.stripe_prices ?? []
  const [first] = names
  if (first === undefined) return unknown
  const stripePrice = choice === undefined ? first : await choosePrice(stripe, id, names, choice)
  if (typeof stripePrice !== 'string') return stripePrice
  return { itemKind: kind, itemId: id, stripePrice, micros: null, expiresDays: null }
}

const choiceIn = ({ choice }: CheckoutAsked['item']) => (choice === undefined ? [] : [choice])

const hashOf = ({ item, successUrl, cancelUrl }: CheckoutAsked): string =>
  createHash('sha256')
    .update(JSON.stringify([item.kind, item.id, successUrl, cancelUrl, ...choiceIn(item)]))
    .digest('hex')

/** Of a plan, the price of the row first, then what else the plan is sold by today. */
function linesOf({ stripe, catalogue }: CheckoutsDeps, row: Checkout): Promise<LineAsked[]> {
  const { itemKind, itemId, stripePrice } = row
  if (itemKind === 'pack') return Promise.resolve([{ price: stripePrice, quantity: 1 }])
  const others = catalogue().plan(itemId)?.stripe_prices ?? []
  return linesOfPlan(stripe, [stripePrice, ...others.filter((name) => name !== stripePrice)])
}

/** The same row is asked for once; not so where the prices of its plan were changed meanwhile. */
function idempotencyKey({ id }: Checkout, lines: readonly LineAsked[]): string {
  const key = `farebox-${id}`
  if (lines.length === 1) return key
  return `${key}-${createHash('sha256').update(JSON.stringify(lines)).digest('hex')}`
}

/** What Stripe is asked for: the same row and lines, the same parameters, whoever repeats it. */
function sessionParams(
  row: Checkout,
  customer: string,
  lines: LineAsked[],
): Stripe.Checkout.SessionCreateParams {
  const metadata = { farebox_checkout: row.id }
  const common = {
    customer,
    client_reference_id: row.id,
    metadata,
    line_items: lines,
    success_url: row.successUrl,
    cancel_url: row.cancelUrl,
  }
  if (row.itemKind === 'plan') {
    return { ...common, mode: 'subscription', subscription_data: { metadata } }
  }
  const use = row.keepsCard ? ({ setup_future_usage: 'off_session' } as const) : {}
  return { ...common, mode: 'payment', payment_intent_data: { metadata, ...use } }
}

const isOver = ({ state, failure }: Checkout): boolean =>
  state === 'granted' || (state === 'failed' && failure === 'expired')

const REUSED = refuse(
  'idempotency_key_reused',
  'This Idempotency-Key was used for another checkout. Use a new one.',
)

/** The row of this call: new, or the one that an earlier call of the same key wrote. */
async function plan(
  deps: CheckoutsDeps,
  account: Account,
  asked: CheckoutAsked,
): Promise<Checkout | Refusal> {
  const { db, clock, ids } = deps
  const { successUrl, cancelUrl, requestKey } = asked
  const requestHash = hashOf(asked)
  const known =
    requestKey === null ? null : await checkoutRows.find(db, { accountId: account.id, requestKey })
  if (known !== null) return known.requestHash === requestHash ? known : REUSED
  const item = await itemOf(deps, asked.item)
  if (isRefusal(item)) return item
  const isPlan = item.itemKind === 'plan'
  const sold = { accountId: account.id, plan: item.itemId }
  const refusal = isPlan ? await whyNotAgain(deps, sold) : null
  if (refusal !== null) return refusal
  const id = `fbco_${ids.uuid().replaceAll('-', '')}`
  const keepsCard = asked.keepsCard === true
  const urls = { successUrl, cancelUrl, requestKey, requestHash, keepsCard }
  const isNew = await checkoutRows.plan(
    db,
    { id, accountId: account.id, ...item, ...urls },
    clock.now(),
  )
  const name = isNew || requestKey === null ? { id } : { accountId: account.id, requestKey }
  const row = await checkoutRows.find(db, name)
  if (row === null) throw new Error('unreachable: the row was just written')
  return row.requestHash === requestHash ? row : REUSED
}

/** Another one where a failure is kept under the key: nobody was told where the first one is. */
async function createSession(
  { checkout: { sessions } }: Pick<Stripe, 'checkout'>,
  params: Stripe.Checkout.SessionCreateParams,
  key: string,
): Promise<Stripe.Checkout.Session> {
  try {
    return await sessions.create(params, { idempotencyKey: key })
  } catch (error) {
    if (!isReplayedFailure(error)) throw error
    return sessions.create(params, { idempotencyKey: `${key}-again` })
  }
}

/** Asks Stripe for the session of a row. Throws what Stripe throws: then the row stays planned. */
async function openAt(deps: CheckoutsDeps, account: Account, row: Checkout): Promise<Checkout> {
  const { stripe, db, clock } = deps
  const customer = await deps.ensureCustomer(account)
  const lines = await linesOf(deps, row)
  const params = sessionParams(row, customer, lines)
  const session = await createSession(stripe, params, idempotencyKey(row, lines))
  const { amount_subtotal: amount, currency, url, expires_at: expiresAt } = session
  const opened = { id: row.id, sessionId: session.id, url, amount, currency }
  await checkoutRows.open(db, { ...opened, expiresAtMs: expiresAt * 1000 }, clock.now())
  return (await checkoutRows.find(db, { id: row.id })) ?? row
}

export function makeCheckouts(deps: CheckoutsDeps): Checkouts {
  const { db, ensureCustomer, effects, clock, log } = deps
  const openPortal = makeOpenPortal(deps)

  function refused(error: unknown, what: string): Refusal {
    const refusal = refusalOfStripe(error)
    if (refusal === null) throw error
    log.warn({ what, error: describeError(error) }, 'Stripe did not do it')
    return refusal
  }

  /** Where Stripe cannot be asked, what is known stands. */
  async function look(row: Checkout): Promise<void> {
    if (row.sessionId === null || isOver(row)) return
    if (clock.now() - row.changedAtMs < CHECKOUT_LOOK_MS_MIN) return
    const subject = { kind: 'session', id: row.sessionId } as const
    await effects
      .look(subject, () => Promise.resolve())
      .catch((error: unknown) => {
        log.warn({ checkout: row.id, error: describeError(error) }, 'checkout not looked at')
      })
  }

  return {
    async open(account, asked) {
      try {
        const row = await plan(deps, account, asked)
        if (isRefusal(row) || row.sessionId !== null) return row
        return await openAt(deps, account, row)
      } catch (error) {
        return refused(error, 'checkout')
      }
    },
    async read(id, accountId) {
      const name = id.startsWith('fbco_') ? { id } : { sessionId: id }
      const row = await checkoutRows.find(db, name)
      if (row === null || (accountId !== null && row.accountId !== accountId)) return null
      await look(row)
      return checkoutRows.find(db, { id: row.id })
    },
    async portal(account, returnUrl) {
      try {
        return await openPortal(await ensureCustomer(account), returnUrl)
      } catch (error) {
        return refused(error, 'portal')
      }
    },
  }
}
