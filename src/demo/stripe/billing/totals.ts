import { int, intOr, ref, rows, text, textOr, child, type Obj } from '../json.ts'
import { change, shape, type World } from '../world.ts'
import { addMonths } from './calendar.ts'
import { allLines } from './lines.ts'

/** `off` parted over `amounts` by their size, the last taking what rounding leaves. */
export function partOff(amounts: readonly number[], off: number): number[] {
  const total = amounts.reduce((sum, amount) => sum + amount, 0)
  let left = Math.min(off, total)
  return amounts.map((amount, index) => {
    const share = Math.round((off * amount) / Math.max(1, total))
    const taken = index === amounts.length - 1 ? left : Math.min(left, share)
    left -= taken
    return taken
  })
}

export function couponOff(coupon: Obj, total: number): number {
  const percent = Number(text(coupon, 'percent_off') || 0)
  return Math.min(total, intOr(coupon, 'amount_off') ?? Math.round((total * percent) / 100))
}

/** The coupon of a call's `discounts`; null = none. Throws 404 for one that is not there. */
export function couponIn(world: World, input: Obj): Obj | null {
  const [first] = rows(input, 'discounts')
  const id = first === undefined ? null : textOr(first, 'coupon')
  return id === null ? null : world.get('coupon', id, 'discounts[0][coupon]')
}

/** A coupon at work for a subscription, as long as its duration says. */
export function makeDiscount(world: World, coupon: Obj, subscription: Obj): Obj {
  const months = coupon.duration === 'repeating' ? int(coupon, 'duration_in_months') : null
  return world.keep(
    'discount',
    shape('discount', {
      id: world.id('di'),
      customer: text(subscription, 'customer'),
      end: months === null ? null : addMonths(world.now(), months),
      source: { coupon: text(coupon, 'id'), type: 'coupon' },
      start: world.now(),
      subscription: text(subscription, 'id'),
    }),
  )
}

const taxOf = (amount: number, tax: number): Obj[] =>
  tax === 0
    ? []
    : [
        {
          amount: tax,
          tax_behavior: 'exclusive',
          tax_rate_details: { tax_rate: 'txr_simulated' },
          taxability_reason: 'standard_rated',
          taxable_amount: amount,
          type: 'tax_rate_details',
        },
      ]

function applyDiscount(world: World, invoice: Obj, lines: readonly Obj[]): number {
  const id = Array.isArray(invoice.discounts) ? invoice.discounts[0] : null
  const discount = typeof id === 'string' ? world.find(id) : null
  const coupon = discount === null ? null : world.find(ref(child(discount, 'source'), 'coupon'))
  if (discount === null || coupon === null) return 0
  const open = lines.filter((line) => line.discountable === true && int(line, 'amount') > 0)
  const amounts = open.map((line) => int(line, 'amount'))
  const off = couponOff(
    coupon,
    amounts.reduce((sum, amount) => sum + amount, 0),
  )
  for (const [index, amount] of partOff(amounts, off).entries()) {
    const line = open[index]
    if (line !== undefined) line.discount_amounts = [{ amount, discount: text(discount, 'id') }]
  }
  return off
}

const discountOn = (line: Obj): number =>
  rows(line, 'discount_amounts').reduce((sum, one) => sum + int(one, 'amount'), 0)

/** Adds an invoice up: lines, discounts, tax, the customer's balance. */
export function total(world: World, invoice: Obj): void {
  const lines = allLines(world, invoice)
  const off = applyDiscount(world, invoice, lines)
  let [subtotal, tax] = [0, 0]
  for (const line of lines) {
    const net = int(line, 'amount') - discountOn(line)
    const onLine = Math.round((net * world.settings.tax_percent) / 100)
    line.taxes = taxOf(net, onLine)
    subtotal += int(line, 'amount')
    tax += onLine
  }
  const [discount] = Array.isArray(invoice.discounts) ? invoice.discounts : []
  const sum = subtotal - off + tax
  const balance = int(invoice, 'starting_balance')
  const due = Math.max(0, sum + balance)
  change(invoice, {
    subtotal,
    subtotal_excluding_tax: subtotal,
    total: sum,
    total_excluding_tax: sum - tax,
    total_discount_amounts: off === 0 ? [] : [{ amount: off, discount: discount ?? '' }],
    total_taxes: taxOf(subtotal - off, tax),
    amount_due: due,
    amount_remaining: due,
  })
}
