import { amountOf, makePrice } from './catalogue.ts'
import { couponIn, couponOff, partOff } from './billing/totals.ts'
import { expireSession } from './checkout-pay.ts'
import { invalid } from './faults.ts'
import {
  child,
  has,
  int,
  intOr,
  mergeMetadata,
  pick,
  ref,
  rows,
  text,
  textOr,
  type Obj,
} from './json.ts'
import { listOf, matching, page } from './paging.ts'
import { route, type Call, type Route } from './route.ts'
import { change, DAY_S, shape, type World } from './world.ts'

const EXPIRES_S_MIN = 1_800

function lineOf(world: World, input: Obj, taxPercent: number, isTrial: boolean): Obj {
  const data = child(input, 'price_data')
  const id = textOr(input, 'price')
  if (id === null && !has(data, 'currency')) {
    throw invalid('You must specify either `price` or `price_data`.', 'line_items[0][price]')
  }
  const price = id === null ? makePrice(world, data, false) : world.get('price', id, 'line_items')
  const recurring = child(price, 'recurring')
  const isMetered = recurring.usage_type === 'metered'
  if (isMetered && has(input, 'quantity')) {
    const why = 'Quantity should not be specified where usage_type is `metered`.'
    throw invalid(`${why} Remove \`quantity\` from \`line_items\``, 'line_items')
  }
  const isFree = isMetered || (isTrial && price.recurring !== null)
  const quantity = isMetered ? null : (intOr(input, 'quantity') ?? 1)
  const subtotal = isFree ? 0 : amountOf(price, quantity ?? 0)
  const tax = Math.round((subtotal * taxPercent) / 100)
  const product = world.find(ref(price, 'product'))
  return shape('item', {
    id: world.id('li'),
    amount_subtotal: subtotal,
    amount_tax: tax,
    amount_total: subtotal + tax,
    currency: text(price, 'currency'),
    description: product === null ? null : text(product, 'name'),
    price: structuredClone(price),
    quantity,
    metadata: mergeMetadata({}, input),
  })
}

/** Takes a coupon off the lines, each in its share, the last taking what rounding leaves. */
function applyDiscount(world: World, input: Obj, lines: Obj[]): void {
  const coupon = couponIn(world, input)
  if (coupon === null) return
  const amounts = lines.map((line) => int(line, 'amount_subtotal'))
  const off = couponOff(coupon, sum(lines, 'amount_subtotal'))
  for (const [index, taken] of partOff(amounts, off).entries()) {
    const line = lines[index] ?? {}
    const net = int(line, 'amount_subtotal') - taken
    const tax = Math.round((net * world.settings.tax_percent) / 100)
    change(line, { amount_discount: taken, amount_tax: tax, amount_total: net + tax })
  }
}

const sum = (lines: readonly Obj[], key: string): number =>
  lines.reduce((total, line) => total + int(line, key), 0)

function expiryOf(world: World, input: Obj): number {
  const at = intOr(input, 'expires_at') ?? world.now() + DAY_S
  if (at < world.now() + EXPIRES_S_MIN - 60 || at > world.now() + DAY_S + 60) {
    throw invalid('`expires_at` must be between 30 minutes and 24 hours from now.', 'expires_at')
  }
  return at
}

/** The lines of a session, as its mode allows them. */
function linesIn(world: World, input: Obj, mode: string): Obj[] {
  const isTrial = has(child(input, 'subscription_data'), 'trial_period_days')
  const asked = rows(input, 'line_items')
  const lines = asked.map((one) => lineOf(world, one, world.settings.tax_percent, isTrial))
  if (mode !== 'setup' && lines.length === 0) {
    throw invalid('Missing required param: line_items.', 'line_items', 'parameter_missing')
  }
  const recurring = lines.some((line) => child(line, 'price').type === 'recurring')
  if (recurring && mode !== 'subscription') {
    throw invalid('You specified `payment` mode but passed a recurring price.', 'mode')
  }
  if (!recurring && mode === 'subscription') {
    throw invalid('You must provide at least one recurring price in `subscription` mode.', 'mode')
  }
  applyDiscount(world, input, lines)
  return lines
}

function create(world: World, { input }: Call): Obj {
  const mode = textOr(input, 'mode') ?? 'payment'
  const customer = textOr(input, 'customer')
  if (customer !== null) world.get('customer', customer, 'customer')
  const lines = linesIn(world, input, mode)
  const id = `cs_test_${world.random.letters(58)}`
  const total = sum(lines, 'amount_total')
  const made = shape('checkout.session', {
    id,
    created: world.now(),
    ...pick(input, ['cancel_url', 'client_reference_id', 'customer', 'customer_email', 'locale']),
    ...pick(input, ['success_url', 'submit_type', 'customer_creation']),
    adaptive_pricing: { enabled: false },
    amount_subtotal: mode === 'setup' ? null : sum(lines, 'amount_subtotal'),
    amount_total: mode === 'setup' ? null : total,
    currency: mode === 'setup' ? null : text(lines[0] ?? {}, 'currency'),
    expires_at: expiryOf(world, input),
    metadata: mergeMetadata({}, input),
    mode,
    payment_method_options: {},
    payment_method_types: ['card'],
    payment_status: mode === 'setup' || total === 0 ? 'no_payment_required' : 'unpaid',
    status: 'open',
    total_details: {
      amount_discount: sum(lines, 'amount_discount'),
      amount_shipping: 0,
      amount_tax: sum(lines, 'amount_tax'),
    },
    ui_mode: 'hosted_page',
    url: `${world.base}/pay/${id}`,
  })
  world.keep('checkout.session', made)
  Object.assign(
    world.note(id),
    { lines },
    pick(input, ['payment_intent_data', 'setup_intent_data', 'subscription_data', 'discounts']),
  )
  world.timeline.schedule(int(made, 'expires_at'), () => {
    if (made.status === 'open') expireSession(world, made)
  })
  return made
}

export const linesOf = (world: World, session: Obj): Obj =>
  listOf(
    rows(world.note(text(session, 'id')), 'lines'),
    false,
    `/v1/checkout/sessions/${text(session, 'id')}/line_items`,
  )

export function checkoutRoutes(world: World): Route[] {
  const one = ({ path }: Call): Obj => world.get('checkout.session', path.id ?? '')
  const filters = ['status', 'customer', 'payment_intent', 'subscription']
  return [
    route('POST /v1/checkout/sessions', (call) => create(world, call)),
    route('GET /v1/checkout/sessions', ({ input, url }) =>
      page(world.all('checkout.session').filter(matching(input, filters)), input, url),
    ),
    route('GET /v1/checkout/sessions/{id}', one),
    route('POST /v1/checkout/sessions/{id}', (call) => {
      const session = one(call)
      change(session, { metadata: mergeMetadata(child(session, 'metadata'), call.input) })
      return session
    }),
    route('POST /v1/checkout/sessions/{id}/expire', (call) => {
      const session = one(call)
      expireSession(world, session)
      return session
    }),
    route('GET /v1/checkout/sessions/{id}/line_items', (call) => linesOf(world, one(call))),
  ]
}
