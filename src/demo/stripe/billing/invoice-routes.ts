import { emit } from '../events.ts'
import { ApiFault, invalid } from '../faults.ts'
import { child, flag, has, intOr, mergeMetadata, pick, text, textOr, type Obj } from '../json.ts'
import { matching, page, search } from '../paging.ts'
import { methodFrom } from '../payment-methods.ts'
import { route, type Call, type Route } from '../route.ts'
import { change, shape } from '../world.ts'
import { subscriptionOf, type Biller } from './biller.ts'
import {
  advanceLater,
  collect,
  finalize,
  intentOf,
  markPaid,
  markUncollectible,
  voidInvoice,
} from './collect.ts'
import { composeInvoice, keepDraft, pendingItems, takeItems } from './invoices.ts'
import { allLines } from './lines.ts'
import { upcoming } from './periods.ts'

const CURRENCY = 'usd'

/** An invoice made by hand. */
function create(biller: Biller, { input }: Call): Obj {
  const { world } = biller
  const customer = world.get('customer', text(input, 'customer'), 'customer')
  const owner = textOr(input, 'subscription')
  const subscription = owner === null ? null : world.get('subscription', owner, 'subscription')
  const now = world.now()
  const advances = has(input, 'auto_advance') && flag(input, 'auto_advance')
  const draft = keepDraft(
    biller,
    composeInvoice(world, {
      customer,
      subscription,
      reason: 'manual',
      lines: [],
      period: { start: now, end: now },
      currency: textOr(input, 'currency') ?? CURRENCY,
      values: {
        ...pick(input, ['collection_method', 'default_payment_method', 'description', 'footer']),
        auto_advance: advances,
        metadata: mergeMetadata({}, input),
      },
    }),
  )
  world.note(text(draft, 'id')).days_until_due = intOr(input, 'days_until_due') ?? 0
  const takes = input.pending_invoice_items_behavior === 'include' || subscription !== null
  if (takes) takeItems(world, draft, pendingItems(world, text(customer, 'id'), subscription))
  if (advances) advanceLater(biller, draft, world.settings.finalize_s)
  return draft
}

/** `POST /v1/invoices/{id}/pay`: 402 with what the bank said where it is declined. */
function pay(biller: Biller, invoice: Obj, input: Obj): Obj {
  const { world, payments } = biller
  if (invoice.status === 'draft') finalize(biller, invoice)
  if (invoice.status === 'paid') {
    throw invalid('Invoice is already paid', undefined, 'invoice_already_paid')
  }
  if (invoice.status === 'void') throw invalid('This invoice is void and can not be paid.')
  if (flag(input, 'paid_out_of_band')) {
    markPaid(biller, invoice, true)
    return invoice
  }
  const named = textOr(input, 'payment_method')
  collect(biller, invoice, named === null ? null : methodFrom(world, named))
  const intent = intentOf(world, invoice)
  const refusal = intent === null ? null : payments.refusal(intent)
  if (refusal !== null) throw refusal
  if (intent?.status === 'requires_action') {
    const code = 'invoice_payment_intent_requires_action'
    const message = 'This payment requires additional user action before it can be completed.'
    throw new ApiFault(402, { type: 'card_error', code, message })
  }
  return invoice
}

function payments({ world }: Biller): Route[] {
  const listed = ({ input, url }: Call): Obj => {
    const intent = textOr(child(input, 'payment'), 'payment_intent')
    const found = world
      .all('invoice_payment')
      .filter(matching(input, ['invoice', 'status']))
      .filter((one) => intent === null || child(one, 'payment').payment_intent === intent)
    return page(found, input, url)
  }
  return [
    route('GET /v1/invoice_payments', listed),
    route('GET /v1/invoice_payments/{id}', ({ path }) =>
      world.get('invoice_payment', path.id ?? ''),
    ),
  ]
}

function preview(biller: Biller, { input }: Call): Obj {
  const { world } = biller
  const subscription = world.get('subscription', text(input, 'subscription'), 'subscription')
  return { ...upcoming(biller, subscription), id: world.id('upcoming_in') }
}

function listed({ world }: Biller, { input, url }: Call): Obj {
  const owner = textOr(input, 'subscription')
  const found = world
    .all('invoice')
    .filter(matching(input, ['customer', 'status', 'collection_method']))
    .filter((one) => owner === null || subscriptionOf(world, one)?.id === owner)
  return page(found, input, url)
}

function update(biller: Biller, invoice: Obj, input: Obj): Obj {
  const { world } = biller
  const names = ['description', 'default_payment_method', 'footer', 'collection_method']
  const previous = change(invoice, {
    ...pick(input, names),
    ...(has(input, 'auto_advance') ? { auto_advance: flag(input, 'auto_advance') } : {}),
    metadata: mergeMetadata(child(invoice, 'metadata'), input),
  })
  const starts = previous.auto_advance === false && invoice.status === 'draft'
  if (starts) advanceLater(biller, invoice, world.settings.finalize_s)
  emit(world, 'invoice.updated', invoice, previous)
  return invoice
}

function discard({ world }: Biller, invoice: Obj): Obj {
  if (invoice.status !== 'draft') throw invalid('You can only delete draft invoices.')
  const id = text(invoice, 'id')
  for (const item of world.all('invoiceitem')) if (item.invoice === id) item.invoice = null
  world.drop('invoice', id)
  emit(world, 'invoice.deleted', invoice)
  return shape('deleted_invoice', { id })
}

/** Refuses to move an invoice that is not in one of `from`. */
function from(invoice: Obj, states: RegExp, doing: string): void {
  if (states.test(text(invoice, 'status'))) return
  throw invalid(`You can not ${doing} an invoice that is ${text(invoice, 'status')}.`)
}

export function invoiceRoutes(biller: Biller): Route[] {
  const { world } = biller
  const one = ({ path }: Call): Obj => world.get('invoice', path.id ?? '')
  const act = (name: string, run: (invoice: Obj, input: Obj) => void): Route =>
    route(`POST /v1/invoices/{id}/${name}`, (call) => {
      const invoice = one(call)
      run(invoice, call.input)
      return invoice
    })
  return [
    ...payments(biller),
    route('POST /v1/invoices', (call) => create(biller, call)),
    route('POST /v1/invoices/create_preview', (call) => preview(biller, call)),
    route('GET /v1/invoices', (call) => listed(biller, call)),
    route('GET /v1/invoices/search', ({ input, url }) => search(world.all('invoice'), input, url)),
    route('GET /v1/invoices/{id}', one),
    route('POST /v1/invoices/{id}', (call) => update(biller, one(call), call.input)),
    route('DELETE /v1/invoices/{id}', (call) => discard(biller, one(call))),
    route('GET /v1/invoices/{id}/lines', (call) => {
      const lines = allLines(world, one(call))
      return page([...lines].reverse(), call.input, call.url)
    }),
    act('finalize', (invoice) => {
      finalize(biller, invoice)
    }),
    act('pay', (invoice, input) => {
      pay(biller, invoice, input)
    }),
    act('send', (invoice) => {
      if (invoice.status === 'draft') finalize(biller, invoice)
      else emit(world, 'invoice.sent', invoice)
    }),
    act('void', (invoice) => {
      from(invoice, /^(open|uncollectible)$/, 'void')
      voidInvoice(biller, invoice)
    }),
    act('mark_uncollectible', (invoice) => {
      from(invoice, /^open$/, 'mark uncollectible')
      markUncollectible(biller, invoice, 'user_forgiven')
    }),
  ]
}

/** The page of an open invoice: the payer pays it with a test method. */
export function payInvoicePage(biller: Biller, invoice: Obj, method: string): void {
  if (invoice.status !== 'open' && invoice.status !== 'uncollectible') return
  collect(biller, invoice, methodFrom(biller.world, method))
}

/** `confirmation_secret`, there when asked for. */
export function confirmationSecret({ world }: Biller, invoice: Obj): Obj | null {
  const intent = invoice.status === 'open' ? intentOf(world, invoice) : null
  if (intent === null) return null
  return { client_secret: text(intent, 'client_secret'), type: 'payment_intent' }
}
