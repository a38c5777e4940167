import { amountOf } from '../catalogue.ts'
import { child, int, intOr, ref, rows, text, textOr, type Json, type Obj } from '../json.ts'
import { aggregate } from '../meters.ts'
import { listOf } from '../paging.ts'
import { shape, type World } from '../world.ts'
import { isMetered, itemsOf } from './biller.ts'

export interface Period {
  readonly start: number
  readonly end: number
}

/** Lines an invoice carries in itself; the rest is paged. */
const EMBEDDED_MAX = 10

interface NewLine {
  readonly amount: number
  readonly price: Obj | null
  readonly currency: string
  readonly quantity: number
  readonly period: Period
  readonly parent: Obj
  readonly description: string
  readonly subscription: string | null
  readonly proration?: boolean
}

function pricingOf(price: Obj | null, unit: Json): Obj {
  const unit_amount_decimal = price === null ? unit : (price.unit_amount_decimal ?? null)
  if (price === null) return { type: 'price_details', unit_amount_decimal }
  const price_details = { price: text(price, 'id'), product: text(price, 'product') }
  return { type: 'price_details', price_details, unit_amount_decimal }
}

function makeLine(world: World, line: NewLine): Obj {
  return shape('line_item', {
    id: world.id('il'),
    amount: line.amount,
    subtotal: line.amount,
    currency: line.currency,
    description: line.description,
    discount_amounts: [],
    discountable: line.proration !== true,
    parent: line.parent,
    period: { ...line.period },
    pricing: pricingOf(line.price, String(line.amount)),
    quantity: line.quantity,
    quantity_decimal: String(line.quantity),
    subscription: line.subscription,
    taxes: [],
  })
}

const ofSubscription = (subscription: string, item: string, invoiceItem: string | null): Obj => ({
  type: 'subscription_item_details',
  invoice_item_details: null,
  subscription_item_details: {
    invoice_item: invoiceItem,
    proration: invoiceItem !== null,
    proration_details: { credited_items: null },
    subscription,
    subscription_item: item,
  },
})

export const nameOf = (world: World, price: Obj): string =>
  text(world.find(ref(price, 'product')) ?? {}, 'name')

/** A line for an item's price over a period. `free`: a trial costs nothing. */
export function lineOfItem(
  world: World,
  subscription: Obj,
  item: Obj,
  period: Period,
  free: boolean,
): Obj {
  const price = child(item, 'price')
  const metered = isMetered(price)
  const meter = world.find(ref(child(price, 'recurring'), 'meter'))
  const used =
    metered && meter !== null
      ? Math.max(
          0,
          aggregate(world, meter, text(subscription, 'customer'), period.start, period.end),
        )
      : 0
  const quantity = metered ? used : (intOr(item, 'quantity') ?? 1)
  return makeLine(world, {
    amount: free ? 0 : amountOf(price, quantity),
    price,
    currency: text(price, 'currency'),
    quantity,
    period,
    parent: ofSubscription(text(subscription, 'id'), text(item, 'id'), null),
    description: `${quantity} × ${nameOf(world, price)}`,
    subscription: text(subscription, 'id'),
  })
}

/** What a period begins with: licensed items for `next`, metered ones for what `last` used. */
export function linesOfPeriod(
  world: World,
  subscription: Obj,
  next: Period | null,
  last: Period | null,
  free = false,
): Obj[] {
  return itemsOf(subscription).flatMap((item) => {
    const period = isMetered(child(item, 'price')) ? last : next
    return period === null ? [] : [lineOfItem(world, subscription, item, period, free)]
  })
}

/** An invoice item on its invoice. Prorations of a subscription are told as the subscription's. */
export function lineOfInvoiceItem(world: World, item: Obj): Obj {
  const id = text(item, 'id')
  const note = world.note(id)
  const owner = child(child(item, 'parent'), 'subscription_details')
  const subscription = textOr(owner, 'subscription')
  const price = world.find(textOr(note, 'price'))
  const isProration = item.proration === true && subscription !== null
  return makeLine(world, {
    amount: int(item, 'amount'),
    price,
    currency: text(item, 'currency'),
    quantity: int(item, 'quantity'),
    period: { start: int(child(item, 'period'), 'start'), end: int(child(item, 'period'), 'end') },
    parent: isProration
      ? ofSubscription(subscription, text(owner, 'subscription_item'), id)
      : {
          type: 'invoice_item_details',
          subscription_item_details: null,
          invoice_item_details: {
            invoice_item: id,
            proration: item.proration === true,
            proration_details: { credited_items: null },
            subscription,
          },
        },
    description: text(item, 'description'),
    subscription,
    proration: isProration,
  })
}

/** All lines of an invoice, which itself shows the first ten. */
export const allLines = (world: World, invoice: Obj): Obj[] =>
  rows(world.note(text(invoice, 'id')), 'lines')

export function setLines(world: World, invoice: Obj, lines: Obj[]): void {
  const id = text(invoice, 'id')
  for (const line of lines) line.invoice = id
  world.note(id).lines = lines
  const shown = lines.slice(0, EMBEDDED_MAX)
  invoice.lines = listOf(shown, lines.length > shown.length, `/v1/invoices/${id}/lines`)
}
