import type Stripe from 'stripe'
import { PORTAL_PRODUCTS_MAX } from '../kernel/limits/stripe.ts'
import type { PriceFactsOf } from './inspect.ts'

type Features = Stripe.BillingPortal.ConfigurationCreateParams.Features
type Update = NonNullable<Features['subscription_update']>
type Configuration = Stripe.BillingPortal.Configuration

/** Marks the configuration that `farebox stripe setup` made. */
const MARK = { farebox: 'portal' } as const

/** More configurations than an account may have. */
const LIST_MAX = 1_000

/** Of one product Stripe lets a customer choose between rhythms, so one price of each. */
const rhythmOf = ({ interval, intervalCount }: PriceFactsOf): string =>
  `${interval ?? ''} ${intervalCount}`

function productsOf(prices: readonly PriceFactsOf[]) {
  const byProduct = new Map<string, Map<string, string>>()
  for (const price of prices) {
    const { id, product, isActive, isRecurring, isMetered } = price
    if (product === null || !isActive || !isRecurring || isMetered) continue
    const chosen = byProduct.get(product) ?? new Map<string, string>()
    if (!chosen.has(rhythmOf(price))) chosen.set(rhythmOf(price), id)
    byProduct.set(product, chosen)
  }
  return [...byProduct]
    .map(([product, chosen]) => ({ product, prices: [...chosen.values()] }))
    .slice(0, PORTAL_PRODUCTS_MAX)
}

/**
 * A change to a dearer plan is paid and granted at once; one to a cheaper plan waits for the end of
 * the period: it takes no credits back, so that changing to and fro would earn some.
 */
function updateOf(prices: readonly PriceFactsOf[]) {
  const products = productsOf(prices)
  if (products.flatMap((one) => one.prices).length < 2) return { enabled: false } satisfies Update
  return {
    enabled: true,
    default_allowed_updates: ['price'],
    products,
    proration_behavior: 'always_invoice',
    schedule_at_period_end: {
      conditions: [{ type: 'decreasing_item_amount' }, { type: 'shortening_interval' }],
    },
  } satisfies Update
}

/** What customers may do there: what this program follows. `prices` are those of the plans. */
export function portalFeatures(prices: readonly PriceFactsOf[]) {
  return {
    invoice_history: { enabled: true },
    payment_method_update: { enabled: true },
    customer_update: { enabled: true, allowed_updates: ['address', 'tax_id'] },
    subscription_cancel: {
      ...{ enabled: prices.length > 0, mode: 'at_period_end', proration_behavior: 'none' },
    },
    subscription_pause: { enabled: false },
    subscription_update: updateOf(prices),
  } satisfies Features
}

/** As far as they are compared. */
interface Settings {
  readonly subscription_cancel: { readonly enabled: boolean; readonly mode: string }
  readonly subscription_pause: { readonly enabled: boolean }
  readonly invoice_history: { readonly enabled: boolean }
  readonly payment_method_update: { readonly enabled: boolean }
  readonly customer_update: {
    readonly enabled: boolean
    readonly allowed_updates: readonly string[]
  }
  readonly subscription_update: {
    readonly enabled: boolean
    readonly default_allowed_updates?: readonly string[]
    readonly products?: readonly { product: string; prices: readonly string[] }[] | null
    readonly proration_behavior?: string
    readonly schedule_at_period_end?: { readonly conditions: readonly { type: string }[] }
  }
}

const sorted = (names: readonly string[] = []): string => names.toSorted().join()

function switches(update: Settings['subscription_update']): string {
  if (!update.enabled) return 'none'
  const products = (update.products ?? []).map(
    ({ product, prices }) => `${product}: ${sorted(prices)}`,
  )
  const conditions = update.schedule_at_period_end?.conditions.map(({ type }) => type)
  const rules = [update.proration_behavior, sorted(update.default_allowed_updates)]
  return [...products.toSorted(), ...rules, sorted(conditions)].join('; ')
}

/** Settings by what they are about, so that two can be compared. */
const factsOf = (it: Settings): ReadonlyMap<string, string> => {
  const { customer_update: customer, subscription_cancel: cancel } = it
  return new Map([
    ['invoices', String(it.invoice_history.enabled)],
    ['payment methods', String(it.payment_method_update.enabled)],
    ['addresses', customer.enabled ? sorted(customer.allowed_updates) : 'off'],
    ['cancellation', cancel.enabled ? cancel.mode : 'off'],
    ['pauses', String(it.subscription_pause.enabled)],
    ['changes of plan', switches(it.subscription_update)],
  ])
}

/** What two settings disagree about, in words. */
export function portalDifferences(found: Settings, wanted: Settings): string[] {
  const has = factsOf(found)
  return [...factsOf(wanted)].flatMap(([about, value]) => (has.get(about) === value ? [] : [about]))
}

export interface PortalsFound {
  /** The one that `farebox stripe setup` made; null = it made none. */
  readonly ours: Configuration | null
  /** The account has settings of its own, saved in the Dashboard. */
  readonly hasDefault: boolean
}

/** Active configurations of the customer portal; which plans they offer only where it is asked. */
export async function findPortals(
  stripe: Pick<Stripe, 'billingPortal'>,
  { hasProducts }: { readonly hasProducts: boolean },
): Promise<PortalsFound> {
  const expand = hasProducts ? { expand: ['data.features.subscription_update.products'] } : {}
  const all = await stripe.billingPortal.configurations
    .list({ active: true, limit: 100, ...expand })
    .autoPagingToArray({ limit: LIST_MAX })
  return {
    ours: all.find(({ metadata }) => metadata?.farebox === MARK.farebox) ?? null,
    hasDefault: all.some((one) => one.is_default),
  }
}

/** Makes the configuration, or brings the one that is there to what it should be. */
export async function ensurePortal(
  stripe: Pick<Stripe, 'billingPortal'>,
  prices: readonly PriceFactsOf[],
  isDryRun: boolean,
): Promise<{
  readonly action: 'found' | 'created' | 'changed' | 'missing' | 'differs'
  readonly id: string | null
  readonly differences: readonly string[]
}> {
  const { configurations } = stripe.billingPortal
  const { ours } = await findPortals(stripe, { hasProducts: true })
  const features = portalFeatures(prices)
  if (ours === null) {
    if (isDryRun) return { action: 'missing', id: null, differences: [] }
    const { id } = await configurations.create({ features, metadata: MARK })
    return { action: 'created', id, differences: [] }
  }
  const { id } = ours
  const differences = portalDifferences(ours.features, features)
  if (differences.length === 0) return { action: 'found', id, differences }
  if (isDryRun) return { action: 'differs', id, differences }
  await configurations.update(id, { features })
  return { action: 'changed', id, differences }
}
