import type { Inspect, StripeInspection } from '../billing/inspect.ts'
import { wordsOf } from '../billing/inspect.ts'
import { SNAPSHOT_EVENTS, THIN_EVENTS, WEBHOOK_API_VERSION } from '../billing/handled-events.ts'
import { portalDifferences, portalFeatures } from '../billing/portal-settings.ts'
import { WEBHOOK_PATH } from '../billing/webhook.ts'
import { whyHidden, whyUnfit, type ExpectedMeter } from '../reporting/fit.ts'
import { fail, fine, warn } from './advice.ts'
import type { Advice } from './doctor.ts'

/** What this deployment expects of its Stripe account. */
export interface StripeExpected {
  readonly mode: 'test' | 'live'
  readonly secretKey: string
  readonly webhookSecrets: number
  readonly packs: readonly { readonly id: string; readonly stripe_price: string }[]
  readonly plans: readonly { readonly id: string; readonly stripe_prices: readonly string[] }[]
  readonly meters: readonly ExpectedMeter[]
  readonly inspect: Inspect
}

const SETUP = 'Run farebox stripe setup --public-url https://<this deployment>.'

function checkKey({ secretKey, mode, webhookSecrets }: StripeExpected): Advice[] {
  const isKey = /^(sk|rk)_(test|live)_/.test(secretKey)
  const key = isKey
    ? fine('stripe key', `${mode} mode; Farebox keys are fb_${mode}_…`)
    : fail('stripe key', 'neither sk_… nor rk_…', 'Set STRIPE_SECRET_KEY to a secret key.')
  const secrets =
    webhookSecrets > 0
      ? fine('stripe webhook secret', `${webhookSecrets} set`)
      : fail('stripe webhook secret', 'not set: deliveries are refused', SETUP)
  return [key, secrets]
}

function checkEndpoint({ endpoints }: StripeInspection): Advice[] {
  const name = 'stripe webhook'
  const [first, ...more] = endpoints.filter((one) => one.url.endsWith(WEBHOOK_PATH))
  if (first === undefined) {
    const detail = `no endpoint ends in ${WEBHOOK_PATH}; stripe listen does not count`
    return [warn(name, detail, SETUP)]
  }
  return [first, ...more].map(({ url, isEnabled, apiVersion, events }) => {
    if (!isEnabled) return fail(name, `${url} is disabled`, SETUP)
    const isMissing = (type: string): boolean => !events.includes('*') && !events.includes(type)
    const missing = SNAPSHOT_EVENTS.filter(isMissing)
    if (missing.length > 0) return fail(name, `${url} misses ${missing.join(', ')}`, SETUP)
    if (apiVersion === WEBHOOK_API_VERSION) return fine(name, url)
    const detail = `${url} sends version ${apiVersion ?? 'default'}, not ${WEBHOOK_API_VERSION}`
    return warn(name, detail, 'Objects are read again, so this works; better make a new one.')
  })
}

/** What is fixed once a meter is made needs another one; what is off can be turned on. */
function checkMeter({ eventName, dimensions }: ExpectedMeter, found: StripeInspection): Advice {
  const name = `meter ${eventName}`
  const same = found.meters.filter((one) => one.eventName === eventName)
  const meter = same.find(({ isActive }) => isActive) ?? same[0] ?? null
  if (meter === null) return fail(name, 'does not exist', 'Run farebox stripe setup.')
  const why = whyUnfit(meter)
  const remake = 'Stripe cannot change that: make another meter, and name it by event_name.'
  if (why !== null) return fail(name, why, meter.isActive ? remake : 'Reactivate it in Stripe.')
  const hidden = whyHidden(meter, dimensions)
  if (hidden !== null) return fail(name, hidden, 'Call the dimension otherwise in farebox.yaml.')
  return fine(name, `active; reads ${meter.customerKey} and ${meter.valueKey}`)
}

function checkMeters({ meters }: StripeExpected, found: StripeInspection): Advice[] {
  if (meters.length === 0) return []
  const thin = found.thin.filter(({ url }) => url.endsWith(WEBHOOK_PATH))
  const isTold = thin.some(
    ({ isEnabled, events }) =>
      isEnabled && (events.includes('*') || THIN_EVENTS.every((type) => events.includes(type))),
  )
  const detail = 'no enabled destination of thin events: refused usage would go unseen'
  const told = isTold
    ? fine('stripe thin events', 'told of refused usage')
    : fail('stripe thin events', detail, SETUP)
  const each = meters.map((meter) => checkMeter(meter, found))
  return [told, ...each]
}

function checkPrice(
  found: StripeInspection,
  of: string,
  id: string,
  isRecurring: boolean,
): Advice | null {
  const price = found.prices.get(id)
  const fix = 'Correct farebox.yaml, or run farebox stripe setup.'
  if (price === undefined) return fail('stripe prices', `${of}: ${id} does not exist`, fix)
  if (!price.isActive) return fail('stripe prices', `${of}: ${id} is archived`, fix)
  if (!isRecurring && !price.isRecurring && price.amount === null) {
    return fail('stripe prices', `${of}: ${id} has no fixed amount, which every pack has`, fix)
  }
  if (price.isRecurring === isRecurring) return null
  const is = price.isRecurring ? 'recurring' : 'one-time'
  return fail('stripe prices', `${of}: ${id} is ${is}, which no ${of.split(' ')[0] ?? ''} is`, fix)
}

function checkPrices({ packs, plans }: StripeExpected, found: StripeInspection): Advice[] {
  const wrong = [
    ...packs.map(({ id, stripe_price: price }) => checkPrice(found, `pack ${id}`, price, false)),
    ...plans.flatMap(({ id, stripe_prices: prices }) =>
      prices.map((price) => checkPrice(found, `plan ${id}`, price, true)),
    ),
  ].filter((one) => one !== null)
  const currencies = new Set([...found.prices.values()].map(({ currency }) => currency))
  if (currencies.size > 1) {
    const detail = `prices in ${[...currencies].toSorted().join(', ')}`
    const fix = 'A customer of Stripe pays subscriptions in one currency; sell in one.'
    wrong.push(warn('stripe currencies', detail, fix))
  }
  return wrong.length > 0
    ? wrong
    : [fine('stripe prices', `${found.prices.size} as they should be`)]
}

function checkPortal({ plans }: StripeExpected, { portals, prices }: StripeInspection): Advice {
  const name = 'stripe portal'
  const { ours, hasDefault } = portals
  if (ours === null) {
    const detail = hasDefault
      ? 'opened with the settings of the Dashboard, which may offer what is not followed here'
      : 'not set up: it cannot be opened'
    return warn(name, detail, 'Run farebox stripe setup.')
  }
  const sold = plans.flatMap((plan) => plan.stripe_prices.flatMap((id) => prices.get(id) ?? []))
  const differences = portalDifferences(ours.features, portalFeatures(sold))
  if (differences.length === 0) return fine(name, ours.id)
  return warn(name, `otherwise than here: ${differences.join(', ')}`, 'Run farebox stripe setup.')
}

/** What Stripe has against what the configuration expects; each line says what to do. */
export async function checkStripe(expected: StripeExpected | null): Promise<Advice[]> {
  if (expected === null) {
    return [warn('stripe', 'not set up: nothing is sold', 'Set STRIPE_SECRET_KEY to sell.')]
  }
  const { packs, plans } = expected
  const prices = [
    ...packs.map((pack) => pack.stripe_price),
    ...plans.flatMap((plan) => plan.stripe_prices),
  ]
  let found: StripeInspection
  try {
    found = await expected.inspect(prices)
  } catch (error) {
    const fix = 'Check STRIPE_SECRET_KEY, its permissions and the way to api.stripe.com.'
    return [...checkKey(expected), fail('stripe', wordsOf(error), fix)]
  }
  return [
    ...checkKey(expected),
    ...checkEndpoint(found),
    ...checkMeters(expected, found),
    ...checkPrices(expected, found),
    checkPortal(expected, found),
  ]
}
