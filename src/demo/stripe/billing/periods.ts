import { emit } from '../events.ts'
import { child, int, ref, text, textOr, type Obj } from '../json.ts'
import { change, type World } from '../world.ts'
import { end, isOver, itemsOf, methodOf, pause, periodOf, type Biller } from './biller.ts'
import { periodEndAfter } from './calendar.ts'
import { advanceLater } from './collect.ts'
import { composeInvoice, keepDraft, pendingItems, takeItems } from './invoices.ts'
import { linesOfPeriod, type Period } from './lines.ts'
import { enterPhase } from './schedules.ts'

const TRIAL_NOTICE_S = 3 * 86_400

/** How often a subscription is billed. */
export const recurringOf = (subscription: Obj): Obj =>
  child(child(itemsOf(subscription)[0] ?? {}, 'price'), 'recurring')

export function setPeriod(subscription: Obj, { start, end: to }: Period): void {
  for (const item of itemsOf(subscription)) {
    change(item, { current_period_start: start, current_period_end: to })
  }
}

const customerOf = (world: World, subscription: Obj): Obj =>
  world.find(ref(subscription, 'customer')) ?? {}

export interface Bill {
  readonly reason: string
  readonly next: Period | null
  readonly last: Period | null
  readonly free?: boolean
}

/** The invoice of a period as a draft, with whatever else waits for one. */
export function draftOf(biller: Biller, subscription: Obj, bill: Bill): Obj {
  const { world } = biller
  const customer = customerOf(world, subscription)
  const draft = keepDraft(
    biller,
    composeInvoice(world, {
      customer,
      subscription,
      reason: bill.reason,
      lines: linesOfPeriod(world, subscription, bill.next, bill.last, bill.free ?? false),
      period: bill.last ?? bill.next ?? periodOf(subscription),
      currency: text(subscription, 'currency'),
      values: {},
    }),
  )
  world.note(text(draft, 'id')).days_until_due = int(subscription, 'days_until_due')
  takeItems(world, draft, pendingItems(world, text(customer, 'id'), subscription))
  return draft
}

/** Plans what a subscription's period end brings, in place of what was planned. */
export function planPeriodEnd(biller: Biller, subscription: Obj): void {
  const { world, timers } = biller
  const id = text(subscription, 'id')
  timers.get(id)?.()
  if (isOver(subscription) || subscription.status === 'paused') return
  const { end: periodEnd } = periodOf(subscription)
  const cancelAt = int(subscription, 'cancel_at')
  const at = cancelAt > 0 ? Math.min(cancelAt, periodEnd) : periodEnd
  const cancels = [
    world.timeline.schedule(at, () => {
      atPeriodEnd(biller, subscription)
    }),
  ]
  const noticeAt = periodEnd - world.settings.upcoming_s
  if (cancelAt === 0 && noticeAt > world.now() && subscription.status !== 'trialing') {
    const tell = (): void => {
      emit(world, 'invoice.upcoming', upcoming(biller, subscription))
    }
    cancels.push(world.timeline.schedule(noticeAt, tell))
  }
  const trialEnd = int(subscription, 'trial_end')
  if (subscription.status === 'trialing' && trialEnd > 0) {
    const tell = (): void => {
      emit(world, 'customer.subscription.trial_will_end', subscription)
    }
    const when = Math.max(world.now(), trialEnd - TRIAL_NOTICE_S)
    cancels.push(world.timeline.schedule(when, tell))
  }
  timers.set(id, () => {
    for (const cancel of cancels) cancel()
    timers.delete(id)
  })
}

/** The next invoice as it would be now; it has no id. */
export function upcoming({ world }: Biller, subscription: Obj): Obj {
  const last = periodOf(subscription)
  const next = { start: last.end, end: nextEnd(world, subscription, last.end) }
  const invoice = composeInvoice(world, {
    customer: customerOf(world, subscription),
    subscription,
    reason: 'upcoming',
    lines: linesOfPeriod(world, subscription, next, last),
    period: last,
    currency: text(subscription, 'currency'),
    values: {},
  })
  Reflect.deleteProperty(invoice, 'id')
  return invoice
}

const nextEnd = (world: World, subscription: Obj, afterS: number): number =>
  periodEndAfter(int(subscription, 'billing_cycle_anchor'), recurringOf(subscription), afterS)

function atPeriodEnd(biller: Biller, subscription: Obj): void {
  if (isOver(subscription) || subscription.status === 'paused') return
  const now = biller.world.now()
  const cancelAt = int(subscription, 'cancel_at')
  if (cancelAt > 0 && cancelAt <= now) {
    endWithBill(biller, subscription)
    return
  }
  if (subscription.status === 'trialing' && !trialMayEnd(biller, subscription)) return
  roll(biller, subscription)
}

/** Ends it at the end of its period: what was used is billed once more. */
function endWithBill(biller: Biller, subscription: Obj): void {
  const { world } = biller
  const used = linesOfPeriod(world, subscription, null, periodOf(subscription))
  const waiting = pendingItems(world, text(subscription, 'customer'), subscription)
  end(biller, subscription, 'cancellation_requested')
  if (used.length === 0 && waiting.length === 0) return
  const bill = { reason: 'subscription_cycle', next: null, last: periodOf(subscription) }
  advanceLater(biller, draftOf(biller, subscription, bill), world.settings.finalize_s)
}

/** A trial without a payment method ends as its settings say. */
function trialMayEnd(biller: Biller, subscription: Obj): boolean {
  const settings = child(child(subscription, 'trial_settings'), 'end_behavior')
  const method = methodOf(biller.world, text(subscription, 'customer'), subscription)
  if (method !== null) return true
  const how = textOr(settings, 'missing_payment_method') ?? 'create_invoice'
  if (how === 'cancel') end(biller, subscription, 'cancellation_requested')
  if (how === 'pause') pause(biller, subscription, 'trial_end_without_payment_method')
  return how === 'create_invoice'
}

/** A new period: its invoice is a draft for an hour. */
function roll(biller: Biller, subscription: Obj): void {
  const { world } = biller
  const last = periodOf(subscription)
  const before = structuredClone(subscription.items ?? null)
  const wasTrial = subscription.status === 'trialing'
  enterPhase(biller, subscription, last.end)
  const next = { start: last.end, end: nextEnd(world, subscription, last.end) }
  setPeriod(subscription, next)
  const status = wasTrial ? 'active' : text(subscription, 'status')
  const previous = change(subscription, { status })
  const bill = { reason: 'subscription_cycle', next, last: wasTrial ? null : last }
  const draft = draftOf(biller, subscription, bill)
  emit(world, 'customer.subscription.updated', subscription, { ...previous, items: before })
  planPeriodEnd(biller, subscription)
  const kept = child(subscription, 'pause_collection').behavior === 'keep_as_draft'
  if (status === 'unpaid' || kept) change(draft, { auto_advance: false })
  else advanceLater(biller, draft, world.settings.finalize_s)
}
