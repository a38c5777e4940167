import Stripe from 'stripe'
import { describeError } from '../kernel/log.ts'
import { findPortals, type PortalsFound } from './portal-settings.ts'
import { idOf } from './stripe.ts'

/** More endpoints or meters than an account may have. */
const LIST_MAX = 1_000

export interface EndpointFacts {
  readonly id: string
  readonly url: string
  readonly isEnabled: boolean
  readonly apiVersion: string | null
  readonly events: readonly string[]
}

export interface PriceFactsOf {
  readonly id: string
  readonly isActive: boolean
  readonly isRecurring: boolean
  readonly isMetered: boolean
  readonly currency: string
  readonly amount: number | null
  readonly interval: string | null
  readonly intervalCount: number
  readonly lookupKey: string | null
  readonly product: string | null
}

export interface MeterFacts {
  readonly eventName: string
  readonly isActive: boolean
  /** How it aggregates, and within which window only the last event counts; null = none. */
  readonly formula: string
  readonly window: string | null
  /** Where its events name the customer and the value. */
  readonly customerKey: string
  readonly valueKey: string
}

/** What stands in a Stripe account, as far as this deployment depends on it. */
export interface StripeInspection {
  readonly endpoints: readonly EndpointFacts[]
  readonly thin: readonly EndpointFacts[]
  readonly meters: readonly MeterFacts[]
  /** Those asked for that exist. */
  readonly prices: ReadonlyMap<string, PriceFactsOf>
  /** Without any no portal session can be made. */
  readonly portals: PortalsFound
}

export type Inspect = (prices: readonly string[]) => Promise<StripeInspection>

export const readPrice = (price: Stripe.Price): PriceFactsOf => ({
  id: price.id,
  isActive: price.active,
  isRecurring: price.type === 'recurring',
  isMetered: price.recurring?.usage_type === 'metered',
  currency: price.currency,
  amount: price.unit_amount,
  interval: price.recurring?.interval ?? null,
  intervalCount: price.recurring?.interval_count ?? 1,
  lookupKey: price.lookup_key,
  product: idOf(price.product),
})

const readEndpoint = (one: Stripe.WebhookEndpoint): EndpointFacts => ({
  id: one.id,
  url: one.url,
  isEnabled: one.status === 'enabled',
  apiVersion: one.api_version,
  events: one.enabled_events,
})

export const listEndpoints = async (stripe: Stripe): Promise<EndpointFacts[]> =>
  (await stripe.webhookEndpoints.list({ limit: 100 }).autoPagingToArray({ limit: LIST_MAX })).map(
    readEndpoint,
  )

/** Destinations of thin events that are webhooks. */
export async function listThin(stripe: Stripe): Promise<EndpointFacts[]> {
  const found = await stripe.v2.core.eventDestinations
    .list({ include: ['webhook_endpoint.url'] })
    .autoPagingToArray({ limit: LIST_MAX })
  return found
    .filter((one) => one.event_payload === 'thin' && one.type === 'webhook_endpoint')
    .map((one) => ({
      id: one.id,
      url: one.webhook_endpoint?.url ?? '',
      isEnabled: one.status === 'enabled',
      apiVersion: null,
      events: one.enabled_events,
    }))
}

const readMeter = (meter: Stripe.Billing.Meter): MeterFacts => ({
  eventName: meter.event_name,
  isActive: meter.status === 'active',
  formula: meter.default_aggregation.formula,
  window: meter.event_time_window,
  customerKey: meter.customer_mapping.event_payload_key,
  valueKey: meter.value_settings.event_payload_key,
})

export async function listMeters(stripe: Stripe): Promise<readonly MeterFacts[]> {
  const { meters } = stripe.billing
  const all = await meters.list({ limit: 100 }).autoPagingToArray({ limit: LIST_MAX })
  return all.map(readMeter)
}

/** null = there is none. */
export async function priceOrNull(stripe: Stripe, id: string): Promise<PriceFactsOf | null> {
  try {
    return readPrice(await stripe.prices.retrieve(id))
  } catch (error) {
    const { StripeInvalidRequestError } = Stripe.errors
    if (error instanceof StripeInvalidRequestError && error.statusCode === 404) return null
    throw error
  }
}

export function makeInspect(stripe: Stripe): Inspect {
  return async (prices) => {
    const [endpoints, thin, meters, portals, found] = await Promise.all([
      listEndpoints(stripe),
      listThin(stripe),
      listMeters(stripe),
      findPortals(stripe, { hasProducts: true }),
      Promise.all(prices.map((id) => priceOrNull(stripe, id))),
    ])
    const known = found.flatMap((price) => (price === null ? [] : [[price.id, price] as const]))
    return { endpoints, thin, meters, prices: new Map(known), portals }
  }
}

/** What Stripe said, for people; never the key. */
export const wordsOf = (error: unknown): string =>
  describeError(error).replaceAll(/\b(sk|rk)_\w+/g, '$1_…')
