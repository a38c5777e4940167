import {
  addMicros,
  micros,
  microsFromBigInt,
  subMicros,
  ZERO,
  type Micros,
} from '../../kernel/money.ts'
import { INCLUDED_OVERLAP_MS } from '../../kernel/limits/stripe.ts'
import type { Plan } from '../../access/plans/config.ts'
import type { Catalogue } from '../catalogue.ts'
import type { Finding, Judged } from '../findings.ts'
import { turnAfter } from './calendar.ts'
import {
  expiryAfter,
  isGivenBack,
  knownPrice,
  nothing,
  PAID_TOO_LATE,
  unknownPrice,
  type Decision,
  type SaleItem,
} from './decide.ts'
import type { InvoiceFacts, InvoiceLine, PriceFacts, SubscriptionFacts } from './read-invoice.ts'

export interface InvoiceInput {
  readonly invoice: InvoiceFacts
  /** null = the invoice is of none. */
  readonly subscription: SubscriptionFacts | null
  readonly accountId: string | null
  readonly catalogue: Catalogue
  /** Of the prices that `pricesToRead` names. */
  readonly prices: ReadonlyMap<string, PriceFacts>
}

/** Prices that have to be looked at before an invoice can be decided. */
export function pricesToRead({ lines }: InvoiceFacts): string[] {
  const prices = lines.flatMap(({ price, isOfPlan }) =>
    price === null || !isOfPlan ? [] : [price],
  )
  return [...new Set(prices)]
}

const timesOf = (plan: Plan, quantity: number): Micros =>
  micros(plan.included_credits * Math.max(0, quantity))

/**
 * Included credits outlive their period by the overlap, and by the periods they roll over. What a
 * change adds is invoiced with the next period by Stripe's default: it lasts as long as it would
 * have, had it been paid at once.
 */
function includedExpiry(input: InvoiceInput, line: InvoiceLine, plan: Plan): number {
  const { periodStartMs, periodEndMs: atMs, price, isProration } = line
  const lengthMs = Math.max(0, atMs - periodStartMs)
  const period = input.prices.get(price ?? '')?.period ?? null
  const anchorMs = input.subscription?.anchorMs ?? null
  const endMs =
    period === null
      ? atMs + plan.rollover * lengthMs
      : turnAfter({ atMs, anchorMs }, period, plan.rollover)
  const lateMs = isProration ? Math.max(0, input.invoice.paidAtMs + lengthMs - atMs) : 0
  return endMs + lateMs + INCLUDED_OVERLAP_MS
}

/** With the price, for an item may begin two periods within Stripe's one second. */
const includedKey = (of: string, { item, periodStartMs, price }: InvoiceLine): string =>
  `included:${of}:${item}:${periodStartMs / 1000}:${price ?? ''}`

/**
 * Periods were named without their price once: what an invoice granted under such a name is not
 * granted again under the one that it has now.
 */
export function underStoredKeys(
  stored: readonly Pick<SaleItem, 'key'>[],
  sales: readonly SaleItem[],
): readonly SaleItem[] {
  const keys = new Set(stored.map(({ key }) => key))
  return sales.map((sale) => {
    const old = /^(included:.*):[^:]*$/.exec(sale.key)?.[1]
    const isOld = old !== undefined && !keys.has(sale.key) && keys.delete(old)
    return isOld ? { ...sale, key: old } : sale
  })
}

/** The credits that a period of a plan includes; null = none. */
function includedOf(input: InvoiceInput, line: InvoiceLine, plan: Plan): SaleItem | null {
  const { subscription, catalogue } = input
  const trialEndMs = subscription?.trialEndMs ?? null
  // By the line itself: the trial's end may have been moved, or set for a period that was paid.
  const isTrial = trialEndMs !== null && line.amount === 0 && line.periodStartMs < trialEndMs
  if (isTrial && catalogue.policies.trial_included === 'ignore') return null
  const amount = timesOf(plan, line.quantity)
  if (amount === 0 || line.amount < 0) return null
  const of = subscription?.id ?? input.invoice.id
  return {
    key: includedKey(of, line),
    itemKind: 'plan',
    itemId: plan.id,
    kind: 'included',
    micros: amount,
    expiresAtMs: includedExpiry(input, line, plan),
    subscriptionId: subscription?.id ?? null,
  }
}

/** (new − old) × remaining ÷ whole period, rounded once to the nearest; never below zero. */
function changeShare(more: Micros, remainingMs: number, wholeMs: number): Micros {
  if (more <= 0 || wholeMs <= 0) return micros(0)
  const [part, whole] = [BigInt(Math.min(remainingMs, wholeMs)), BigInt(wholeMs)]
  return microsFromBigInt((2n * BigInt(more) * part + whole) / (2n * whole))
}

const isSame = (a: InvoiceLine, b: InvoiceLine): boolean =>
  a.price === b.price && a.quantity === b.quantity

/**
 * What an item was before it became `line`. Each change of it credits what was and charges what is
 * from then on; of several at one moment, what came and went between them is left out, and `line`
 * itself where it is among them. null = it is not told.
 */
function beforeOf({ lines }: InvoiceFacts, line: InvoiceLine): InvoiceLine | null {
  const then = lines.filter(
    (one) => one.isProration && one.item === line.item && one.periodStartMs === line.periodStartMs,
  )
  const credited = then.filter(({ isCredit }) => isCredit)
  const charged = then.filter(({ isCredit }) => !isCredit)
  const same = credited.find((one) => isSame(one, line))
  if (same !== undefined) return same
  // What cost nothing may be credited without a word that it is a credit.
  const free = charged.filter((one) => one.amount === 0 && !isSame(one, line))
  if (credited.length === 0) return free.length === 1 ? (free[0] ?? null) : null
  return credited.find((one) => !charged.some((other) => isSame(one, other))) ?? null
}

/** Paid, and what it adds cannot be told: somebody has to look. */
const changeNotGranted = (input: InvoiceInput, line: InvoiceLine): Finding => ({
  kind: 'stripe_change_not_granted',
  severity: 'review',
  subject: line.id,
  evidence: { invoice: input.invoice.id, price: line.price, amount: line.amount },
})

/** What a change to a larger plan in mid-period adds. A smaller one takes nothing back. */
function changeOf(
  input: InvoiceInput,
  line: InvoiceLine,
  plan: Plan,
  findings: Finding[],
): SaleItem | null {
  const { invoice, subscription, catalogue, prices } = input
  if (catalogue.policies.plan_change === 'ignore' || line.amount <= 0) return null
  const mine = timesOf(plan, line.quantity)
  if (mine === 0) return null
  const before = beforeOf(invoice, line)
  const old = before?.price == null ? null : catalogue.planOf(before.price)
  const period = prices.get(line.price ?? '')?.period ?? null
  if (before === null || old === null || period === null) {
    findings.push(changeNotGranted(input, line))
    return null
  }
  const turn = { atMs: line.periodEndMs, anchorMs: subscription?.anchorMs ?? null }
  const startMs = turnAfter(turn, period, -1)
  const whole = line.periodEndMs - startMs
  const remaining = line.periodEndMs - line.periodStartMs
  const amount = changeShare(subMicros(mine, timesOf(old, before.quantity)), remaining, whole)
  if (amount === 0) return null
  const of = subscription?.id ?? invoice.id
  const { item, price } = line
  const isOther = price !== null && price !== before.price
  const [startS, endS] = [startMs / 1000, line.periodEndMs / 1000]
  return {
    key: includedKey(of, line),
    itemKind: 'plan',
    itemId: plan.id,
    kind: 'included',
    micros: amount,
    expiresAtMs: includedExpiry(input, line, plan),
    subscriptionId: subscription?.id ?? null,
    ...(isOther && { change: { item, price, startS, endS } }),
  }
}

/** A pack that was sold on the invoice of a plan. */
function packOf(input: InvoiceInput, line: InvoiceLine): SaleItem | null {
  const pack = line.price === null ? null : input.catalogue.packOf(line.price)
  if (pack === null || line.isProration || line.quantity <= 0) return null
  return {
    key: `invoice:${input.invoice.id}:${line.id}`,
    itemKind: 'pack',
    itemId: pack.id,
    kind: 'paid',
    micros: micros(pack.credits * line.quantity),
    expiresAtMs: expiryAfter(input.invoice.paidAtMs, pack.expires_days),
  }
}

function saleOf(input: InvoiceInput, line: InvoiceLine, findings: Finding[]): SaleItem | null {
  if (!line.isOfPlan) return packOf(input, line)
  // Its quantity is what was used.
  if (input.prices.get(line.price ?? '')?.isMetered === true) return null
  const plan = line.price === null ? null : input.catalogue.planOf(line.price)
  if (plan !== null) {
    return line.isProration ? changeOf(input, line, plan, findings) : includedOf(input, line, plan)
  }
  if (!line.isProration) {
    findings.push(unknownPrice(line.price ?? 'none', { invoice: input.invoice.id }))
  }
  return null
}

/** Something on it is for sale here, whether it grants anything or not. */
export const isOurs = ({ invoice, catalogue }: InvoiceInput): boolean =>
  invoice.lines.some(
    ({ price, isOfPlan }) =>
      price !== null && (isOfPlan ? catalogue.planOf(price) : catalogue.packOf(price)) !== null,
  )

/** What is wrong with an invoice itself: nothing moves by it, and a person decides. */
function wrongWith({ invoice, accountId }: InvoiceInput): Finding[] {
  const { id: subject, overpaid, finalizationError: error } = invoice
  if (accountId === null) return []
  const about = { severity: 'review', subject } as const
  const found: Finding[] = []
  if (overpaid > 0) {
    const evidence = { account: accountId, overpaid, currency: invoice.currency }
    found.push({ kind: 'stripe_invoice_overpaid', ...about, evidence })
  }
  if (error !== null) {
    const evidence = { account: accountId, error }
    found.push({ kind: 'stripe_invoice_not_finalised', ...about, evidence })
  }
  return found
}

/**
 * Paid when its subscription was over: what it includes is granted and ends at once. Somebody has
 * paid for nothing, so a person gives the money back, or credits. Source: design §6 (I3).
 */
function paidTooLate(
  { invoice, subscription, accountId, catalogue }: InvoiceInput,
  sales: readonly SaleItem[],
): Finding[] {
  const endedAtMs = subscription?.endedAtMs ?? null
  if (accountId === null || endedAtMs === null || invoice.paidAtMs <= endedAtMs) return []
  if (catalogue.policies.included_at_end === 'keep' || invoice.paid === 0) return []
  const ended = sales.filter(({ kind }) => kind === 'included')
  if (ended.length === 0 || isGivenBack(invoice)) return []
  const evidence = {
    ...{ account_id: accountId, subscription: subscription?.id },
    ...{ paid: invoice.paid, currency: invoice.currency },
  }
  const atStakeMicros = ended.reduce((sum, one) => addMicros(sum, one.micros), ZERO)
  const about = { kind: PAID_TOO_LATE, severity: 'urgent', subject: invoice.id } as const
  return [{ ...about, evidence, atStakeMicros }]
}

/** What is looked for at the lines of a paid invoice. */
const judgedOf = ({ invoice, catalogue }: InvoiceInput): readonly Judged[] =>
  invoice.lines.flatMap(({ id, price, isProration }): Judged[] => [
    ...(isProration ? [{ kind: 'stripe_change_not_granted', subject: id }] : []),
    ...(price !== null && catalogue.planOf(price) !== null ? [knownPrice(price)] : []),
  ])

/** What a paid invoice grants, line by line. Source: stripe.md §3 (invoice.paid). */
export function decideInvoice(input: InvoiceInput): Decision {
  const { invoice, accountId } = input
  const findings = wrongWith(input)
  if (!invoice.isPaid) return nothing(`invoice is ${invoice.status}`, findings)
  const sales = invoice.lines.flatMap((line) => saleOf(input, line, findings) ?? [])
  const judged = [...judgedOf(input), { kind: PAID_TOO_LATE, subject: invoice.id }]
  findings.push(...paidTooLate(input, sales))
  if (sales.length === 0) {
    const why = 'invoice paid: it grants nothing'
    return { ...nothing(why, findings), accountId: isOurs(input) ? accountId : null, judged }
  }
  if (accountId !== null) return { accountId, sales, why: 'invoice paid', findings, judged }
  const why = 'paid by nobody we know'
  if (isGivenBack(invoice)) return { ...nothing(why, findings), judged }
  const finding: Finding = {
    kind: 'stripe_no_account',
    severity: 'urgent',
    subject: invoice.id,
    evidence: { customer: invoice.customer },
  }
  return { ...nothing(why, [...findings, finding]), judged }
}
