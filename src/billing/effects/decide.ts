import { DAY_MS } from '../../kernel/clock.ts'
import { micros, ZERO, type Micros } from '../../kernel/money.ts'
import type { Catalogue } from '../catalogue.ts'
import type { Checkout } from '../checkout-rows.ts'
import type { Finding, Judged } from '../findings.ts'
import type { PaymentFacts, SessionFacts } from './facts.ts'
import type { KeyItem } from './keys.ts'
import type { MoneyBack } from './share.ts'

/** One lot that a payment grants. */
export interface SaleItem {
  readonly key: string
  readonly itemKind: 'pack' | 'plan'
  readonly itemId: string
  readonly kind: 'paid' | 'included'
  readonly micros: Micros
  readonly expiresAtMs: number | null
  /** The subscription with which it ends; absent = none. */
  readonly subscriptionId?: string | null
  /** Of another plan in mid-period; absent = it is none. */
  readonly change?: PlanChange
}

/** To which price an item was changed, and the period in which it was, Unix s. */
export interface PlanChange {
  readonly item: string
  readonly price: string
  readonly startS: number
  readonly endS: number
}

/** What a payment grants, to whom. Without an account it is none of ours, or not granted. */
export interface Decision {
  readonly accountId: string | null
  readonly sales: readonly SaleItem[]
  /** Keys that come with it; absent = none. */
  readonly keys?: readonly KeyItem[]
  /** What became of it, for people. */
  readonly why: string
  readonly findings: readonly Finding[]
  /** What was looked for beside what is always looked for; absent = nothing. */
  readonly judged?: readonly Judged[]
}

export const nothing = (why: string, findings: readonly Finding[] = []): Decision => ({
  accountId: null,
  sales: [],
  why,
  findings,
})

/** The kind of a finding: what was paid for is granted, and ends at once. */
export const PAID_TOO_LATE = 'stripe_paid_after_end'

export const expiryAfter = (fromMs: number, days: number | null | undefined): number | null =>
  days === null || days === undefined ? null : fromMs + days * DAY_MS

/** Paid, and nothing is granted for it: somebody has to look. Source: design §6 (I3). */
const notGranted = (kind: string, subject: string, evidence: Finding['evidence']): Finding => ({
  kind,
  severity: 'urgent',
  subject,
  evidence,
})

/** Nobody waits for credits of money that all went back. */
export const isGivenBack = ({ paid, refunded, withdrawn }: MoneyBack): boolean =>
  paid > 0 && refunded + withdrawn >= paid

/** A pack has one amount; who may name it pays next to nothing for the same credits. */
const CHOSEN = 'the buyer named the amount'

/** How what was paid differs from what was asked for; null = it does not. */
function differenceOf(
  checkout: Checkout,
  session: SessionFacts,
  payment: PaymentFacts,
): string | null {
  const [line, ...more] = session.lines
  if (line?.price !== checkout.stripePrice || line.quantity !== 1 || more.length > 0) return 'items'
  if (line.isAmountChosen === true) return CHOSEN
  if (checkout.currency !== null && checkout.currency !== session.currency) return 'currency'
  if (checkout.amount !== null && checkout.amount !== session.amountSubtotal) return 'amount'
  if (payment.currency !== session.currency) return 'currency of the payment'
  return payment.paid === session.amountTotal ? null : 'amount paid'
}

/** A checkout of ours: what was chosen then is granted now, whatever the configuration says. */
export function decideOwn(
  checkout: Checkout,
  session: SessionFacts,
  payment: PaymentFacts,
): Decision {
  if (!payment.isPaid) return nothing(`checkout is ${payment.status}`)
  if (checkout.micros === null) return nothing('a plan is granted by its invoices')
  const difference = differenceOf(checkout, session, payment)
  if (difference !== null) {
    const { stripePrice, amount, currency } = checkout
    const asked = { price: stripePrice, amount, currency }
    const evidence = { difference, asked, session: { ...session }, paid: payment.paid }
    const finding = notGranted('stripe_amount_differs', payment.id, evidence)
    const findings = isGivenBack(payment) ? [] : [finding]
    return nothing(`paid otherwise than asked: ${difference}`, findings)
  }
  const sale = {
    key: `checkout:${session.id}`,
    itemKind: 'pack',
    itemId: checkout.itemId,
    kind: 'paid',
    micros: checkout.micros,
    expiresAtMs: expiryAfter(payment.paidAtMs, checkout.expiresDays),
  } as const
  return { accountId: checkout.accountId, sales: [sale], why: 'checkout paid', findings: [] }
}

/** A session that somebody else made, such as a payment link: by its prices, for its customer. */
export function decideForeign(
  accountId: string | null,
  session: SessionFacts,
  payment: PaymentFacts,
  catalogue: Catalogue,
): Decision {
  if (!payment.isPaid) return nothing(`payment is ${payment.status}`)
  const sales: SaleItem[] = []
  const findings: Finding[] = []
  const judged: Judged[] = []
  for (const { id, price, quantity, isAmountChosen } of session.lines) {
    const pack = price === null ? null : catalogue.packOf(price)
    if (pack === null) {
      findings.push(unknownPrice(price ?? 'none', { session: session.id }))
      continue
    }
    if (isAmountChosen === true) {
      const evidence = { difference: CHOSEN, session: session.id, price, paid: payment.paid }
      const finding = notGranted('stripe_amount_differs', payment.id, evidence)
      findings.push(...(isGivenBack(payment) ? [] : [finding]))
      continue
    }
    judged.push(knownPrice(price))
    const amount = timesOf(pack.credits, quantity)
    if (amount === ZERO) continue
    sales.push({
      key: `checkout:${session.id}:${id}`,
      itemKind: 'pack',
      itemId: pack.id,
      kind: 'paid',
      micros: amount,
      expiresAtMs: expiryAfter(payment.paidAtMs, pack.expires_days),
    })
  }
  if (sales.length === 0) return { ...nothing('nothing of ours was bought', findings), judged }
  if (accountId !== null) return { accountId, sales, why: 'session paid', findings, judged }
  const evidence = { session: session.id, customer: session.customer }
  if (!isGivenBack(payment)) {
    findings.push(notGranted('stripe_no_account', payment.id, evidence))
  }
  return { ...nothing('paid by nobody we know', findings), judged }
}

/** A price that something of ours has by now. */
export const knownPrice = (price: string | null): Judged => ({
  kind: 'stripe_unknown_price',
  subject: price ?? 'none',
})

/** A price that no pack or plan has. One for each price, however often it is paid. */
export const unknownPrice = (price: string, evidence: Finding['evidence']): Finding => ({
  kind: 'stripe_unknown_price',
  severity: 'review',
  subject: price,
  evidence,
})

const timesOf = (amount: Micros, quantity: number): Micros =>
  quantity <= 0 ? ZERO : micros(amount * quantity)

/** What to tell who waits for a checkout. Source: design §8 (pending, granted, failed). */
export function checkoutStateOf(
  session: SessionFacts,
  payment: PaymentFacts | null,
  decision: Decision,
): { readonly state: 'open' | 'pending' | 'granted' | 'failed'; readonly failure: string | null } {
  if (decision.sales.length > 0) return { state: 'granted', failure: null }
  if (session.status === 'expired') return { state: 'failed', failure: 'expired' }
  if (session.status === 'open') return { state: 'open', failure: null }
  const isOver = payment !== null && /^(requires_payment_method|canceled)$/.test(payment.status)
  if (isOver) return { state: 'failed', failure: 'the payment failed' }
  const isStuck = decision.findings.some(({ severity }) => severity === 'urgent')
  return { state: 'pending', failure: isStuck ? 'paid; needs to be looked at' : null }
}
