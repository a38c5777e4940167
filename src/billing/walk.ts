import type Stripe from 'stripe'
import {
  DISPUTE_OPEN_MS,
  RECONCILE_LISTED_MAX,
  RECONCILE_LOOKS_MAX,
} from '../kernel/limits/books.ts'
import { isMissing } from './effects/gone.ts'
import { idOf } from './stripe.ts'

export interface WalkPage<T> {
  readonly items: readonly T[]
  /** Id to start after; null = this was the last page. */
  readonly next: string | null
}

/** Something of Stripe's that moved money. */
export interface PaidThing {
  readonly id: string
  readonly createdMs: number
  readonly amount: number
  readonly currency: string
}

/** Something that takes money back: a refund or a dispute. */
export interface MoneyBackThing {
  readonly id: string
  readonly createdMs: number
  readonly payment: string
}

/** A subscription, as reconciliation compares it. */
export interface SeenSubscription {
  readonly id: string
  readonly customer: string | null
  readonly status: string
  readonly items: readonly { readonly price: string; readonly periodEndMs: number }[]
  readonly isCollectionPaused: boolean
  readonly createdMs: number
  /** Σ of its prices for one interval, smallest unit. */
  readonly amount: number
  readonly currency: string
}

/** Walks through everything of Stripe's, newest first, a page at a time. Reads only. */
export interface Walk {
  payments(after: string | null, sinceMs: number | null): Promise<WalkPage<PaidThing>>
  invoices(after: string | null, sinceMs: number | null): Promise<WalkPage<PaidThing>>
  /** Checkouts that cost nothing, so that no payment tells of them. */
  freeSessions(after: string | null, sinceMs: number | null): Promise<WalkPage<PaidThing>>
  /** By their own time: of payments however old. */
  refunds(after: string | null, sinceMs: number | null): Promise<WalkPage<MoneyBackThing>>
  /** Those that may have moved money since. */
  disputes(after: string | null, sinceMs: number | null): Promise<WalkPage<MoneyBackThing>>
  subscriptions(after: string | null): Promise<WalkPage<SeenSubscription>>
  /** null = Stripe has none such. */
  subscription(id: string): Promise<SeenSubscription | null>
  /** Which of some subscriptions Stripe does not have. They began between these times. */
  missing(ids: readonly string[], fromMs: number, toMs: number): Promise<readonly string[]>
}

const PAGE = 100

interface Listed {
  readonly id: string
}

interface Listing<T> {
  readonly data: readonly T[]
  readonly has_more: boolean
}

function pageOf<T extends Listed, U>(
  list: Listing<T>,
  wanted: (one: T) => boolean,
  read: (one: T) => U,
): WalkPage<U> {
  const last = list.data.at(-1)
  return {
    items: list.data.filter(wanted).map(read),
    next: list.has_more && last !== undefined ? last.id : null,
  }
}

const params = (after: string | null, sinceMs: number | null, limit = RECONCILE_LOOKS_MAX) => ({
  limit,
  ...(after === null ? {} : { starting_after: after }),
  ...(sinceMs === null ? {} : { created: { gte: Math.floor(sinceMs / 1000) } }),
})

const readSubscription = (it: Stripe.Subscription): SeenSubscription => ({
  id: it.id,
  customer: idOf(it.customer),
  status: it.status,
  items: it.items.data.map(({ price, current_period_end: end }) => ({
    ...{ price: price.id, periodEndMs: end * 1000 },
  })),
  isCollectionPaused: it.pause_collection !== null,
  createdMs: it.created * 1000,
  amount: it.items.data.reduce(
    (sum, { price, quantity }) => sum + (price.unit_amount ?? 0) * (quantity ?? 1),
    0,
  ),
  currency: it.currency,
})

const readBack = (it: Stripe.Refund | Stripe.Dispute): MoneyBackThing => ({
  id: it.id,
  createdMs: it.created * 1000,
  payment: idOf(it.payment_intent) ?? '',
})

const isOfPayment = (it: Stripe.Refund | Stripe.Dispute): boolean => it.payment_intent !== null

const backWalk = (stripe: Stripe): Pick<Walk, 'refunds' | 'disputes'> => ({
  async refunds(after, sinceMs) {
    return pageOf(await stripe.refunds.list(params(after, sinceMs)), isOfPayment, readBack)
  },
  async disputes(after, sinceMs) {
    const from = sinceMs === null ? null : sinceMs - DISPUTE_OPEN_MS
    return pageOf(await stripe.disputes.list(params(after, from)), isOfPayment, readBack)
  },
})

const subscriptionWalk = (
  stripe: Stripe,
): Pick<Walk, 'subscriptions' | 'subscription' | 'missing'> => {
  async function subscription(id: string): Promise<SeenSubscription | null> {
    try {
      return readSubscription(await stripe.subscriptions.retrieve(id))
    } catch (error) {
      if (isMissing(error)) return null
      throw error
    }
  }
  return {
    subscription,
    async subscriptions(after) {
      const list = await stripe.subscriptions.list({ ...params(after, null, PAGE), status: 'all' })
      return pageOf(list, () => true, readSubscription)
    },
    async missing(ids, fromMs, toMs) {
      const created = { gte: Math.floor(fromMs / 1000), lte: Math.ceil(toMs / 1000) }
      const left = new Set(ids)
      let seen = 0
      // A list says it of many at once; of what it does not have, asking by name is certain.
      for await (const { id } of stripe.subscriptions.list({
        created,
        status: 'all',
        limit: PAGE,
      })) {
        left.delete(id)
        if (left.size === 0 || (seen += 1) >= RECONCILE_LISTED_MAX) break
      }
      const missing: string[] = []
      for (const id of left) if ((await subscription(id)) === null) missing.push(id)
      return missing
    },
  }
}

export function makeWalk(stripe: Stripe): Walk {
  return {
    ...backWalk(stripe),
    ...subscriptionWalk(stripe),
    async payments(after, sinceMs) {
      const list = await stripe.paymentIntents.list(params(after, sinceMs))
      return pageOf(
        list,
        ({ status }) => status === 'succeeded',
        ({ id, created, amount_received: amount, currency }) => {
          return { id, createdMs: created * 1000, amount, currency }
        },
      )
    },
    async invoices(after, sinceMs) {
      const list = await stripe.invoices.list({ ...params(after, sinceMs), status: 'paid' })
      return pageOf(
        list,
        () => true,
        ({ id, created, total: amount, currency }) => {
          return { id, createdMs: created * 1000, amount, currency }
        },
      )
    },
    async freeSessions(after, sinceMs) {
      const given = { ...params(after, sinceMs), status: 'complete' as const }
      const list = await stripe.checkout.sessions.list(given)
      return pageOf(
        list,
        ({ mode, payment_status: paid }) => mode === 'payment' && paid === 'no_payment_required',
        ({ id, created, currency }) => {
          return { id, createdMs: created * 1000, amount: 0, currency: currency ?? '' }
        },
      )
    },
  }
}

/** What became of an invoice, by its id; null = Stripe has none such. */
export const makeInvoiceState =
  (stripe: Stripe) =>
  async (id: string): Promise<{ customer: string | null; status: string } | null> => {
    try {
      const { customer, status } = await stripe.invoices.retrieve(id)
      return { customer: idOf(customer), status: status ?? 'draft' }
    } catch (error) {
      if (isMissing(error)) return null
      throw error
    }
  }
