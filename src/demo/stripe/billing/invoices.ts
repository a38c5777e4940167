import { emit } from '../events.ts'
import { invalid } from '../faults.ts'
import { child, int, intOr, pick, ref, rows, text, texts, type Obj } from '../json.ts'
import { change, DAY_S, shape, type World } from '../world.ts'
import { subscriptionOf, type Biller } from './biller.ts'
import { lineOfInvoiceItem, setLines, type Period } from './lines.ts'
import { total } from './totals.ts'

export interface NewInvoice {
  readonly customer: Obj
  readonly subscription: Obj | null
  readonly reason: string
  readonly lines: Obj[]
  readonly period: Period
  readonly currency: string
  /** What else a caller sets: description, metadata, collection_method … */
  readonly values: Obj
}

const parentOf = (subscription: Obj | null): Obj | null =>
  subscription === null
    ? null
    : {
        type: 'subscription_details',
        quote_details: null,
        subscription_details: {
          metadata: structuredClone(child(subscription, 'metadata')),
          subscription: text(subscription, 'id'),
        },
      }

/** An invoice that nobody was told of yet, added up. */
export function composeInvoice(world: World, made: NewInvoice): Obj {
  const { customer, subscription, period } = made
  const id = world.id('in')
  const invoice = shape('invoice', {
    id,
    created: world.now(),
    account_country: 'US',
    account_name: 'Simulator',
    auto_advance: true,
    billing_reason: made.reason,
    currency: made.currency,
    customer: text(customer, 'id'),
    ...{ customer_email: customer.email ?? null, customer_name: customer.name ?? null },
    customer_tax_exempt: 'none',
    discounts: discountsOf(subscription).filter((id) => isAlive(world, id)),
    hosted_invoice_url: null,
    invoice_pdf: null,
    metadata: {},
    parent: parentOf(subscription),
    period_end: period.end,
    period_start: period.start,
    starting_balance: int(customer, 'balance'),
    status: 'draft',
    ...pick(subscription ?? {}, ['collection_method', 'default_payment_method']),
    ...made.values,
  })
  setLines(world, invoice, made.lines)
  total(world, invoice)
  return invoice
}

/** Keeps a composed invoice as a draft. A coupon for one invoice is used up by it. */
export function keepDraft({ world }: Biller, invoice: Obj): Obj {
  world.keep('invoice', invoice)
  const subscription = subscriptionOf(world, invoice)
  if (subscription !== null) {
    subscription.latest_invoice = text(invoice, 'id')
    subscription.discounts = discountsOf(subscription).filter(
      (id) => isAlive(world, id) && couponOf(world, id)?.duration !== 'once',
    )
  }
  emit(world, 'invoice.created', invoice)
  return invoice
}

const discountsOf = (subscription: Obj | null): string[] => texts(subscription ?? {}, 'discounts')

function couponOf(world: World, id: string): Obj | null {
  const discount = world.find(id)
  return discount === null ? null : world.find(ref(child(discount, 'source'), 'coupon'))
}

function isAlive(world: World, id: string): boolean {
  const end = intOr(world.find(id) ?? {}, 'end')
  return end === null || end > world.now()
}

/** Invoice items that wait for an invoice of this customer (and, where named, subscription). */
export function pendingItems(world: World, customer: string, subscription: Obj | null): Obj[] {
  return world.all('invoiceitem').filter((item) => {
    if (item.customer !== customer || item.invoice !== null) return false
    const owner = ref(child(child(item, 'parent'), 'subscription_details'), 'subscription')
    return owner === null || (subscription !== null && owner === subscription.id)
  })
}

/** Takes waiting items onto a draft that is already kept. */
export function takeItems(world: World, invoice: Obj, items: readonly Obj[]): void {
  const more = items.map((item) => lineOfInvoiceItem(world, item))
  for (const item of items) item.invoice = text(invoice, 'id')
  setLines(world, invoice, [...rows(world.note(text(invoice, 'id')), 'lines'), ...more])
  total(world, invoice)
}

function useBalance(world: World, invoice: Obj): void {
  const customer = world.find(ref(invoice, 'customer'))
  const before = int(invoice, 'starting_balance')
  const used = int(invoice, 'amount_due') - int(invoice, 'total')
  invoice.ending_balance = before + (int(invoice, 'total') - int(invoice, 'amount_due'))
  if (customer === null || used === 0) return
  moveCustomerBalance(world, customer, -used, {
    type: used > 0 ? 'invoice_too_small' : 'applied_to_invoice',
    invoice: text(invoice, 'id'),
  })
}

/** `amount` < 0: credit for the customer's next invoices. */
export function moveCustomerBalance(world: World, customer: Obj, amount: number, why: Obj): Obj {
  customer.balance = int(customer, 'balance') + amount
  return world.make('customer_balance_transaction', 'cbtxn', {
    amount,
    currency: 'usd',
    customer: text(customer, 'id'),
    ending_balance: int(customer, 'balance'),
    ...why,
  })
}

const NUMBER_DIGITS = 4

function numberOf(world: World, invoice: Obj): string {
  const customer = world.find(ref(invoice, 'customer')) ?? {}
  const next = Math.max(1, int(customer, 'next_invoice_sequence'))
  customer.next_invoice_sequence = next + 1
  return `${text(customer, 'invoice_prefix')}-${String(next).padStart(NUMBER_DIGITS, '0')}`
}

/** Draft → open: number, balance and amount stand from here on. */
export function open(world: World, invoice: Obj): void {
  if (invoice.status !== 'draft') {
    throw invalid("This invoice is already finalized, you can't re-finalize it.")
  }
  const customer = world.find(ref(invoice, 'customer'))
  invoice.starting_balance = customer === null ? 0 : int(customer, 'balance')
  total(world, invoice)
  useBalance(world, invoice)
  const send = invoice.collection_method === 'send_invoice'
  const due = int(world.note(text(invoice, 'id')), 'days_until_due') * DAY_S
  const previous = change(invoice, {
    automatically_finalizes_at: null,
    ...(send ? { due_date: world.now() + due } : {}),
    effective_at: world.now(),
    hosted_invoice_url: `${world.base}/pay/${text(invoice, 'id')}`,
    number: numberOf(world, invoice),
    status: 'open',
    status_transitions: { ...child(invoice, 'status_transitions'), finalized_at: world.now() },
  })
  emit(world, 'invoice.finalized', invoice, previous)
  if (send) emit(world, 'invoice.sent', invoice)
}
