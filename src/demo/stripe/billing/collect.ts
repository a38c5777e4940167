import { emit } from '../events.ts'
import { child, flag, int, ref, text, textOr, type Obj } from '../json.ts'
import { change, DAY_S, shape, type World } from '../world.ts'
import { end, isOver, methodOf, pause, subscriptionOf, turn, type Biller } from './biller.ts'
import { allLines, lineOfItem, setLines } from './lines.ts'
import { open } from './invoices.ts'

const transition = (invoice: Obj, name: string, atS: number): Obj => ({
  ...child(invoice, 'status_transitions'),
  [name]: atS,
})

/** The payments of an invoice, as `GET /v1/invoice_payments?invoice=` lists them. */
export const paymentsOf = (world: World, invoice: Obj): Obj[] =>
  world.all('invoice_payment').filter((one) => one.invoice === invoice.id)

const openPaymentOf = (world: World, invoice: Obj): Obj | null =>
  paymentsOf(world, invoice).find((one) => one.status === 'open') ?? null

/** The PaymentIntent that an open invoice is paid with; null = none. */
export function intentOf(world: World, invoice: Obj): Obj | null {
  const payment = openPaymentOf(world, invoice) ?? paymentsOf(world, invoice).at(-1)
  return world.find(payment === undefined ? null : ref(child(payment, 'payment'), 'payment_intent'))
}

/** Links an invoice to the intent that pays it. */
function askWith({ world }: Biller, invoice: Obj, intent: Obj): void {
  const id = text(intent, 'id')
  const made = shape('invoice_payment', {
    id: world.id('inpay'),
    created: world.now(),
    amount_requested: int(invoice, 'amount_due'),
    currency: text(invoice, 'currency'),
    invoice: text(invoice, 'id'),
    is_default: true,
    payment: { type: 'payment_intent', payment_intent: id },
    status: 'open',
  })
  world.keep('invoice_payment', made)
  world.note(id).invoice = text(invoice, 'id')
}

/** Metered lines count what was reported until now. */
function recount(world: World, invoice: Obj): void {
  const subscription = subscriptionOf(world, invoice)
  if (subscription === null) return
  const lines = allLines(world, invoice).map((line) => {
    const details = child(child(line, 'parent'), 'subscription_item_details')
    const item = world.find(textOr(details, 'subscription_item'))
    const metered = item !== null && child(child(item, 'price'), 'recurring').usage_type
    if (item === null || metered !== 'metered' || flag(details, 'proration')) return line
    const { start, end: to } = child(line, 'period')
    const period = { start: Number(start), end: Number(to) }
    return { ...lineOfItem(world, subscription, item, period, false), id: line.id ?? '' }
  })
  setLines(world, invoice, lines)
}

/** Draft → open, and paid at once where nothing is due. `intent`: it is being paid already. */
export function finalize(biller: Biller, invoice: Obj, intent: Obj | null = null): void {
  const { world, payments } = biller
  recount(world, invoice)
  open(world, invoice)
  if (int(invoice, 'amount_due') === 0) {
    markPaid(biller, invoice)
    return
  }
  const subscription = subscriptionOf(world, invoice)
  const created = invoice.billing_reason === 'subscription_create'
  const asked =
    intent ??
    payments.create({
      amount: int(invoice, 'amount_due'),
      currency: text(invoice, 'currency'),
      customer: text(invoice, 'customer'),
      description:
        subscription === null ? null : created ? 'Subscription creation' : 'Subscription update',
      setup_future_usage: subscription === null ? null : 'off_session',
    })
  askWith(biller, invoice, asked)
  if (asked.status === 'succeeded') markPaid(biller, invoice)
  if (invoice.collection_method === 'send_invoice') {
    world.timeline.schedule(int(invoice, 'due_date'), () => {
      const late = subscription?.status === 'active' && invoice.status === 'open'
      if (late) turn(biller, subscription, { status: 'past_due' })
    })
  }
}

/** Charges an open invoice with `method`, or with what the customer is charged with. */
export function collect(biller: Biller, invoice: Obj, method: Obj | null = null): void {
  const { world, payments } = biller
  const intent = intentOf(world, invoice)
  if (invoice.status !== 'open' && invoice.status !== 'uncollectible') return
  if (intent?.status === 'processing') return
  const subscription = subscriptionOf(world, invoice)
  const own = world.find(ref(invoice, 'default_payment_method'))
  const charged = method ?? own ?? methodOf(world, text(invoice, 'customer'), subscription)
  if (intent === null || charged === null) {
    failed(biller, invoice, false)
    return
  }
  payments.attempt(intent, charged, false)
  if (intent.status === 'requires_action') failed(biller, invoice, true)
}

/** Money in, nothing due, or paid elsewhere. */
export function markPaid(biller: Biller, invoice: Obj, outOfBand = false): void {
  const { world } = biller
  const payment = openPaymentOf(world, invoice)
  const counts = payment !== null && !outOfBand
  const previous = change(invoice, {
    amount_paid: int(invoice, 'amount_due'),
    amount_remaining: 0,
    ...(counts ? { attempted: true, attempt_count: int(invoice, 'attempt_count') + 1 } : {}),
    auto_advance: false,
    next_payment_attempt: null,
    status: 'paid',
    status_transitions: transition(invoice, 'paid_at', world.now()),
  })
  if (payment !== null && outOfBand) closePayment(biller, payment)
  else if (payment !== null) {
    const paid = { amount_paid: int(invoice, 'amount_due'), status: 'paid' }
    const status_transitions = { canceled_at: null, paid_at: world.now() }
    change(payment, { ...paid, status_transitions })
    emit(world, 'invoice_payment.paid', payment)
  }
  emit(world, 'invoice.paid', invoice, previous)
  emit(world, 'invoice.payment_succeeded', invoice, previous)
  const subscription = subscriptionOf(world, invoice)
  if (subscription === null || isOver(subscription)) return
  const ows = world
    .all('invoice')
    .some((one) => one.status === 'open' && subscriptionOf(world, one) === subscription)
  const first = subscription.status === 'incomplete'
  const late = /^(past_due|unpaid)$/.test(text(subscription, 'status'))
  if (first || (late && !ows)) turn(biller, subscription, { status: 'active' })
}

function closePayment({ world, payments }: Biller, payment: Obj): void {
  const intent = world.find(ref(child(payment, 'payment'), 'payment_intent'))
  const status_transitions = { canceled_at: world.now(), paid_at: null }
  change(payment, { status: 'canceled', status_transitions })
  const isOpen = intent !== null && text(intent, 'status').startsWith('requires_')
  if (isOpen) payments.cancel(intent, 'void_invoice')
}

/** Of a change that takes place when it is paid: it puts nothing else at stake. */
function isChange(world: World, subscription: Obj, invoice: Obj): boolean {
  const note = world.note(text(subscription, 'id'))
  return note.pends === true || note.pending_invoice === invoice.id
}

/** A try that brought nothing: plans the next one, or gives up. */
function failed(biller: Biller, invoice: Obj, wantsAction: boolean): void {
  const { world } = biller
  if (invoice.status !== 'open') return
  const tries = int(invoice, 'attempt_count') + 1
  const subscription = subscriptionOf(world, invoice)
  const isFirst = subscription?.status === 'incomplete'
  const pends = subscription !== null && isChange(world, subscription, invoice)
  const waitDays = isFirst || pends ? undefined : world.settings.dunning_days[tries - 1]
  const retries = waitDays !== undefined && invoice.auto_advance === true
  const next = retries ? world.now() + waitDays * DAY_S : null
  const tried = { attempted: true, attempt_count: tries, next_payment_attempt: next }
  const previous = change(invoice, tried)
  emit(world, 'invoice.payment_failed', invoice, previous)
  if (wantsAction) emit(world, 'invoice.payment_action_required', invoice)
  if (next !== null) {
    world.timeline.schedule(next, () => {
      if (invoice.next_payment_attempt === next) collect(biller, invoice)
    })
  }
  if (subscription === null || isFirst || pends || isOver(subscription)) return
  if (subscription.status === 'active') turn(biller, subscription, { status: 'past_due' })
  if (next === null && invoice.auto_advance === true) giveUp(biller, invoice, subscription)
}

/** What the operator's settings say for when no retry is left. */
function giveUp(biller: Biller, invoice: Obj, subscription: Obj): void {
  const { settings } = biller.world
  invoice.auto_advance = false
  if (settings.dunning_invoice === 'uncollectible') {
    markUncollectible(biller, invoice, 'max_payment_attempts')
  }
  switch (settings.dunning_end) {
    case 'cancel':
      end(biller, subscription, 'payment_failed')
      return
    case 'unpaid':
      turn(biller, subscription, { status: 'unpaid' })
      return
    case 'pause':
      pause(biller, subscription, 'final_payment_failure')
      return
    case 'past_due':
  }
}

export function markUncollectible(biller: Biller, invoice: Obj, reason: string): void {
  const { world } = biller
  const previous = change(invoice, {
    auto_advance: false,
    next_payment_attempt: null,
    status: 'uncollectible',
    status_details: { uncollectible: { reason } },
    status_transitions: transition(invoice, 'marked_uncollectible_at', world.now()),
  })
  emit(world, 'invoice.marked_uncollectible', invoice, previous)
}

export function voidInvoice(biller: Biller, invoice: Obj): void {
  const { world } = biller
  for (const payment of paymentsOf(world, invoice)) {
    if (payment.status === 'open') closePayment(biller, payment)
  }
  const previous = change(invoice, {
    auto_advance: false,
    next_payment_attempt: null,
    status: 'void',
    status_transitions: transition(invoice, 'voided_at', world.now()),
  })
  emit(world, 'invoice.voided', invoice, previous)
}

/** The intent of an invoice is through, or was declined. */
export function settleInvoice(biller: Biller, intent: Obj, paid: boolean): void {
  const { world } = biller
  const invoice = world.find(textOr(world.note(text(intent, 'id')), 'invoice'))
  if (invoice === null) return
  const owed = invoice.status === 'open' || invoice.status === 'uncollectible'
  const subscription = subscriptionOf(world, invoice)
  const saves = subscription !== null && world.note(text(subscription, 'id')).saves_method === true
  if (paid && saves) subscription.default_payment_method = ref(intent, 'payment_method')
  if (paid && owed) markPaid(biller, invoice)
  else if (!paid) failed(biller, invoice, false)
}

/** A draft is finalized after the time that Stripe leaves for changes, then collected. */
export function advanceLater(biller: Biller, draft: Obj, inS: number): void {
  const { world } = biller
  const at = world.now() + inS
  draft.automatically_finalizes_at = at
  world.timeline.schedule(at, () => {
    if (draft.status !== 'draft' || draft.auto_advance !== true) return
    finalize(biller, draft)
    const pausing = pausedBy(world, draft)
    if (pausing === 'void') voidInvoice(biller, draft)
    else if (pausing === 'mark_uncollectible') {
      markUncollectible(biller, draft, 'subscription_paused')
    } else if (draft.collection_method !== 'send_invoice') collect(biller, draft)
  })
}

function pausedBy(world: World, invoice: Obj): string | null {
  const subscription = subscriptionOf(world, invoice)
  return subscription === null ? null : textOr(child(subscription, 'pause_collection'), 'behavior')
}
