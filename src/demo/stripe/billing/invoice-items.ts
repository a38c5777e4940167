import { emit } from '../events.ts'
import { amountOf } from '../catalogue.ts'
import { invalid } from '../faults.ts'
import { child, has, int, intOr, mergeMetadata, text, textOr, type Obj } from '../json.ts'
import { matching, page } from '../paging.ts'
import { route, type Call, type Route } from '../route.ts'
import { change, shape, type World } from '../world.ts'
import { priceIn } from './items.ts'
import { takeItems } from './invoices.ts'
import { nameOf, type Period } from './lines.ts'

export interface NewItem {
  readonly customer: string
  readonly amount: number
  readonly currency: string
  readonly price: Obj | null
  readonly quantity: number
  readonly period: Period
  readonly description: string
  readonly proration: boolean
  /** The subscription and, of a proration, the item it belongs to. */
  readonly subscription: string | null
  readonly subscriptionItem: string | null
  readonly metadata: Obj
}

function pricingOf({ price, amount }: NewItem): Obj {
  if (price === null) return { type: 'price_details', unit_amount_decimal: String(amount) }
  const price_details = { price: text(price, 'id'), product: text(price, 'product') }
  const unit_amount_decimal = price.unit_amount_decimal ?? null
  return { type: 'price_details', price_details, unit_amount_decimal }
}

/** Something that waits for the customer's next invoice. */
export function makeInvoiceItem(world: World, made: NewItem): Obj {
  const item = shape('invoiceitem', {
    id: world.id('ii'),
    amount: made.amount,
    currency: made.currency,
    customer: made.customer,
    date: world.now(),
    description: made.description,
    discountable: !made.proration,
    discounts: [],
    metadata: made.metadata,
    parent:
      made.subscription === null
        ? null
        : {
            type: 'subscription_details',
            subscription_details: {
              subscription: made.subscription,
              ...(made.subscriptionItem === null
                ? {}
                : { subscription_item: made.subscriptionItem }),
            },
          },
    period: { ...made.period },
    pricing: pricingOf(made),
    proration: made.proration,
    quantity: made.quantity,
    quantity_decimal: String(made.quantity),
  })
  world.keep('invoiceitem', item)
  world.note(text(item, 'id')).price = made.price === null ? null : text(made.price, 'id')
  emit(world, 'invoiceitem.created', item)
  return item
}

/** What a call asks for, sold once: a price, or an amount. */
export function itemFrom(world: World, input: Obj, customer: string, owner: string | null): Obj {
  const amount = intOr(input, 'amount')
  const named = has(input, 'price') || has(input, 'pricing') || has(input, 'price_data')
  if (amount === null && !named) throw invalid('Missing required param: amount.', 'amount')
  const price = named ? priceIn(world, input, 'price') : null
  if (price !== null && price.recurring !== null) {
    throw invalid('The price specified is set to `type=recurring`.', 'price')
  }
  const quantity = intOr(input, 'quantity') ?? 1
  const given = child(input, 'period')
  const now = world.now()
  return makeInvoiceItem(world, {
    customer,
    amount: price === null ? (amount ?? 0) : amountOf(price, quantity),
    currency: price === null ? (textOr(input, 'currency') ?? 'usd') : text(price, 'currency'),
    price,
    quantity,
    period: { start: intOr(given, 'start') ?? now, end: intOr(given, 'end') ?? now },
    description: textOr(input, 'description') ?? (price === null ? '' : nameOf(world, price)),
    proration: false,
    subscription: owner,
    subscriptionItem: null,
    metadata: mergeMetadata({}, input),
  })
}

function create(world: World, { input }: Call): Obj {
  const customer = text(world.get('customer', text(input, 'customer'), 'customer'), 'id')
  const owner = textOr(input, 'subscription')
  if (owner !== null) world.get('subscription', owner, 'subscription')
  const invoiceId = textOr(input, 'invoice')
  const invoice = invoiceId === null ? null : world.get('invoice', invoiceId, 'invoice')
  if (invoice !== null && invoice.status !== 'draft') {
    throw invalid('Invoice items can only be added to draft invoices.', 'invoice')
  }
  const item = itemFrom(world, input, customer, owner)
  if (invoice !== null) takeItems(world, invoice, [item])
  return item
}

export function invoiceItemRoutes(world: World): Route[] {
  const one = ({ path }: Call): Obj => world.get('invoiceitem', path.id ?? '')
  return [
    route('POST /v1/invoiceitems', (call) => create(world, call)),
    route('GET /v1/invoiceitems', ({ input, url }) => {
      const pending = textOr(input, 'pending')
      const found = world
        .all('invoiceitem')
        .filter(matching(input, ['customer', 'invoice']))
        .filter((item) => pending === null || (pending === 'true') === (item.invoice === null))
      return page(found, input, url)
    }),
    route('GET /v1/invoiceitems/{id}', one),
    route('POST /v1/invoiceitems/{id}', (call) => {
      const item = one(call)
      if (item.invoice !== null) throw invalid('This invoice item is on an invoice already.')
      change(item, {
        amount: intOr(call.input, 'amount') ?? int(item, 'amount'),
        description: textOr(call.input, 'description') ?? textOr(item, 'description'),
        metadata: mergeMetadata(child(item, 'metadata'), call.input),
      })
      return item
    }),
    route('DELETE /v1/invoiceitems/{id}', (call) => {
      const item = one(call)
      if (item.invoice !== null) throw invalid('This invoice item is on an invoice already.')
      world.drop('invoiceitem', text(item, 'id'))
      emit(world, 'invoiceitem.deleted', item)
      return shape('deleted_invoiceitem', { id: text(item, 'id') })
    }),
  ]
}
