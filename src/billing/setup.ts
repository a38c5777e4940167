import Stripe from 'stripe'
import type { CatalogueEntry } from './config.ts'
import { SNAPSHOT_EVENTS, THIN_EVENTS, WEBHOOK_API_VERSION } from './handled-events.ts'
import {
  listEndpoints,
  listMeters,
  listThin,
  priceOrNull,
  readPrice,
  type PriceFactsOf,
} from './inspect.ts'
import { ensurePortal } from './portal-settings.ts'
import { WEBHOOK_PATH } from './webhook.ts'

export interface SetupStep {
  readonly kind: 'product' | 'price' | 'meter' | 'webhook' | 'thin webhook' | 'portal'
  readonly name: string
  readonly action: 'found' | 'created' | 'changed' | 'missing' | 'differs'
  readonly id: string | null
  /** What a person has to do; empty = nothing. */
  readonly todo: string
}

export interface SetupReport {
  readonly steps: readonly SetupStep[]
  /** What to put in the environment. Never the API key. */
  readonly environment: Readonly<Record<string, string>>
}

export interface SetupAsked {
  readonly catalogue: readonly CatalogueEntry[]
  /** Event names of the meters that are reported to. */
  readonly meters: readonly string[]
  /** Prices of the plans; those that are made now by their variable: price_STRIPE_PRICE_…. */
  readonly planPrices: readonly string[]
  /** Where Stripe reaches this deployment; null = no webhooks are made. */
  readonly url: string | null
  readonly isDryRun: boolean
}

export const priceVariable = (lookupKey: string): string =>
  `STRIPE_PRICE_${lookupKey.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`

type Environment = Record<string, string>

const step = (
  kind: SetupStep['kind'],
  name: string,
  action: SetupStep['action'],
  id: string | null,
  todo = '',
): SetupStep => ({ kind, name, action, id, todo })

/** A name of our own choice makes finding and making one and the same, however often. */
const productId = (entry: CatalogueEntry): string => `farebox_${entry.lookup_key}`

async function ensureProduct(
  stripe: Stripe,
  entry: CatalogueEntry,
  isDryRun: boolean,
): Promise<SetupStep> {
  const id = productId(entry)
  try {
    return step('product', entry.name, 'found', (await stripe.products.retrieve(id)).id)
  } catch (error) {
    const { StripeInvalidRequestError } = Stripe.errors
    if (!(error instanceof StripeInvalidRequestError) || error.statusCode !== 404) throw error
  }
  if (isDryRun) return step('product', entry.name, 'missing', null)
  const metadata = { farebox: entry.lookup_key }
  await stripe.products.create({ id, name: entry.name, metadata })
  return step('product', entry.name, 'created', id)
}

function differs(entry: CatalogueEntry, price: PriceFactsOf): boolean {
  const isSame =
    price.amount === entry.amount &&
    price.currency === entry.currency &&
    price.interval === (entry.interval ?? null)
  return !isSame
}

async function ensurePrice(
  stripe: Stripe,
  entry: CatalogueEntry,
  isDryRun: boolean,
): Promise<readonly SetupStep[]> {
  const { lookup_key: key, amount, currency, interval } = entry
  const { data } = await stripe.prices.list({ lookup_keys: [key], active: true, limit: 1 })
  const [known] = data.map(readPrice)
  if (known !== undefined) {
    const todo = `Stripe's price differs; prices never change: choose another lookup_key.`
    const action = differs(entry, known) ? 'differs' : 'found'
    return [step('price', key, action, known.id, action === 'found' ? '' : todo)]
  }
  const product = await ensureProduct(stripe, entry, isDryRun)
  if (isDryRun) return [product, step('price', key, 'missing', null)]
  const recurring = interval === undefined ? {} : { recurring: { interval } }
  const params = { currency, unit_amount: amount, product: productId(entry), lookup_key: key }
  const idempotencyKey = `farebox-setup-${key}-${amount}-${currency}-${interval ?? 'once'}`
  const made = await stripe.prices.create({ ...params, ...recurring }, { idempotencyKey })
  return [product, step('price', key, 'created', made.id)]
}

async function ensureMeters(stripe: Stripe, asked: SetupAsked): Promise<SetupStep[]> {
  const known = asked.meters.length === 0 ? [] : await listMeters(stripe)
  const steps: SetupStep[] = []
  for (const name of asked.meters) {
    if (known.some(({ eventName, isActive }) => eventName === name && isActive)) {
      steps.push(step('meter', name, 'found', null))
    } else if (asked.isDryRun) steps.push(step('meter', name, 'missing', null))
    else {
      const made = await stripe.billing.meters.create({
        ...{ display_name: name, event_name: name },
        default_aggregation: { formula: 'sum' },
      })
      steps.push(step('meter', name, 'created', made.id))
    }
  }
  return steps
}

const SECRET_KNOWN = 'Its signing secret is in the Dashboard.'
const SECRET = 'STRIPE_WEBHOOK_SECRET'

/** Several destinations sign with secrets of their own; all go into one variable. */
function addSecret(environment: Environment, secret: string | null | undefined): void {
  if (secret == null) return
  const before = environment[SECRET]
  environment[SECRET] = before === undefined ? secret : `${before},${secret}`
}

async function ensureSnapshots(
  stripe: Stripe,
  url: string,
  isDryRun: boolean,
  environment: Environment,
): Promise<SetupStep> {
  const known = (await listEndpoints(stripe)).find((one) => one.url === url)
  if (known === undefined) {
    if (isDryRun) return step('webhook', url, 'missing', null)
    const made = await stripe.webhookEndpoints.create({
      ...{ url, api_version: WEBHOOK_API_VERSION, description: 'Farebox' },
      enabled_events: [...SNAPSHOT_EVENTS],
    })
    addSecret(environment, made.secret)
    return step('webhook', url, 'created', made.id)
  }
  const todo =
    known.apiVersion === WEBHOOK_API_VERSION
      ? SECRET_KNOWN
      : `${SECRET_KNOWN} It sends version ${known.apiVersion ?? 'default'}: delete it, run again.`
  const isAll = known.events.includes('*')
  const isComplete = isAll || SNAPSHOT_EVENTS.every((type) => known.events.includes(type))
  if (isComplete && known.isEnabled) return step('webhook', url, 'found', known.id, todo)
  if (isDryRun) return step('webhook', url, 'differs', known.id, todo)
  await stripe.webhookEndpoints.update(known.id, {
    ...(isAll ? {} : { enabled_events: [...SNAPSHOT_EVENTS] }),
    disabled: false,
  })
  return step('webhook', url, 'changed', known.id, todo)
}

async function ensureThin(
  stripe: Stripe,
  url: string,
  isDryRun: boolean,
  environment: Environment,
): Promise<SetupStep> {
  const known = (await listThin(stripe)).find((one) => one.url === url)
  const kind = 'thin webhook'
  if (known === undefined) {
    if (isDryRun) return step(kind, url, 'missing', null)
    const made = await stripe.v2.core.eventDestinations.create({
      ...{ name: 'Farebox', type: 'webhook_endpoint', event_payload: 'thin' },
      enabled_events: [...THIN_EVENTS],
      webhook_endpoint: { url },
      include: ['webhook_endpoint.signing_secret'],
    })
    addSecret(environment, made.webhook_endpoint?.signing_secret)
    return step(kind, url, 'created', made.id)
  }
  const isComplete = THIN_EVENTS.every((type) => known.events.includes(type))
  if (isComplete && known.isEnabled) return step(kind, url, 'found', known.id, SECRET_KNOWN)
  if (isDryRun) return step(kind, url, 'differs', known.id, SECRET_KNOWN)
  const { eventDestinations } = stripe.v2.core
  if (!isComplete) {
    const events = [...new Set([...known.events, ...THIN_EVENTS])]
    await eventDestinations.update(known.id, { enabled_events: events })
  }
  if (!known.isEnabled) await eventDestinations.enable(known.id)
  return step(kind, url, 'changed', known.id, SECRET_KNOWN)
}

async function setUpPortal(
  stripe: Stripe,
  { planPrices, isDryRun }: SetupAsked,
  environment: Environment,
): Promise<SetupStep> {
  const names = planPrices.map((name) => environment[name.replace(/^price_/, '')] ?? name)
  const found = await Promise.all(names.map((name) => priceOrNull(stripe, name)))
  const prices = found.filter((price) => price !== null)
  // What is offered is not changed by half of the plans.
  const isWhole = prices.length === names.length
  const made = await ensurePortal(stripe, prices, isDryRun || !isWhole)
  const todo = isWhole ? made.differences.join(', ') : 'Prices of plans are missing: run again.'
  return step('portal', 'customer portal', made.action, made.id, todo)
}

/**
 * Makes what the configuration needs at Stripe, and finds it where it is there: as often as one
 * likes. Prices never change; one that differs is told. Source: issue "farebox stripe setup".
 */
export async function setUpStripe(stripe: Stripe, asked: SetupAsked): Promise<SetupReport> {
  const { isDryRun } = asked
  const environment: Environment = {}
  const steps: SetupStep[] = []
  for (const entry of asked.catalogue) steps.push(...(await ensurePrice(stripe, entry, isDryRun)))
  for (const { kind, action, name, id } of steps) {
    if (kind !== 'price' || id === null || action === 'differs') continue
    environment[priceVariable(name)] = id
  }
  steps.push(...(await ensureMeters(stripe, asked)))
  if (asked.url !== null) {
    const url = new URL(WEBHOOK_PATH, asked.url).href
    steps.push(await ensureSnapshots(stripe, url, isDryRun, environment))
    if (asked.meters.length > 0) {
      steps.push(await ensureThin(stripe, url, isDryRun, environment))
    }
  }
  steps.push(await setUpPortal(stripe, asked, environment))
  return { steps, environment }
}
