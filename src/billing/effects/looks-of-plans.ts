import type { Tx } from '../../store/db.ts'
import { textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import { endSales } from '../../ledger/sale.ts'
import { checkoutRows, type CheckoutState } from '../checkout-rows.ts'
import type { Finding } from '../findings.ts'
import { decideInvoice, isOurs, pricesToRead, underStoredKeys } from './decide-invoice.ts'
import { nothing } from './decide.ts'
import { noteEmail } from './email.ts'
import { readFeatures } from './look-at-entitlements.ts'
import { keysOfPacks, keysOfPlans } from './keys.ts'
import { readLook, takeLook, type Look } from './look.ts'
import { accountOfCustomer, none, withStored, type LooksDeps } from './looks.ts'
import type { InvoiceFacts, InvoiceReader, SubscriptionFacts } from './read-invoice.ts'
import { judgeRepeats } from './repeats.ts'
import { readSales, writePayment, type Written } from './write.ts'
import { writeSubscription } from './write-subscription.ts'

const sql = loadSql(new URL('../sql/', import.meta.url), [
  'is-subscription-over',
  'included-of-subscription',
])

export interface PlanLooksDeps extends LooksDeps {
  readonly invoices: InvoiceReader
}

/**
 * Ends what a plan included where its subscription is over, by policy. Whoever comes later, the
 * grant or the end, sees the other: both hold the account's lock when they look.
 */
async function endIncluded(
  tx: Tx,
  deps: PlanLooksDeps,
  of: { readonly subscription: SubscriptionFacts; readonly accountId: string },
  nowMs: number,
): Promise<boolean> {
  const { subscription, accountId } = of
  if (deps.catalogue().policies.included_at_end === 'keep') return false
  const isOver =
    subscription.endedAtMs !== null ||
    (await tx.query(sql['is-subscription-over'], [subscription.id])).length > 0
  if (!isOver) return false
  const context = { nowMs, newId: () => deps.ids.uuid() }
  await endSales(tx, accountId, [], context) // the lock, before the sales are read
  const rows = await tx.query(sql['included-of-subscription'], [subscription.id, accountId])
  const keys = rows.map((row) => textOf(row, 'key'))
  return keys.length > 0 && endSales(tx, accountId, keys, context)
}

function checkoutState({ isPaid, status }: InvoiceFacts): CheckoutState {
  if (isPaid) return 'granted'
  return status === 'void' || status === 'uncollectible' ? 'failed' : 'pending'
}

async function writeInvoice(
  tx: Tx,
  deps: PlanLooksDeps,
  invoice: InvoiceFacts,
  subscription: SubscriptionFacts | null,
  nowMs: number,
): Promise<void> {
  const id = invoice.billingReason === 'subscription_create' ? subscription?.checkoutId : null
  const checkout = id == null ? null : await checkoutRows.find(tx, { id })
  if (checkout?.itemKind !== 'plan') return
  const state = checkoutState(invoice)
  const failure = state === 'failed' ? `the invoice is ${invoice.status}` : null
  const change = { id: checkout.id, sessionId: null, paymentIntent: null, state, failure }
  await checkoutRows.change(tx, change, nowMs)
}

/** The bank wants to see the customer: told once for each try, beside what a failed payment is. */
async function tellAction(
  tx: Tx,
  { tell }: PlanLooksDeps,
  { id, attempts, actionUrl: url }: InvoiceFacts,
  accountId: string | null,
  nowMs: number,
): Promise<void> {
  if (url === null || accountId === null) return
  const occasion = `payment_action_required:${id}:${attempts}`
  await tell?.({ kind: 'payment_action_required', occasion, accountId, data: { url } }, nowMs, tx)
}

/** The subscription of an invoice, read so that no older news of it is written over newer. */
async function readOfInvoice(deps: PlanLooksDeps, id: string | null) {
  if (id === null) return null
  const name = `subscription:${id}`
  const number = await readLook(deps.db, name)
  const facts = await deps.invoices.subscription(id)
  return { facts, take: (tx: Tx, nowMs: number) => takeLook(tx, name, number, nowMs) }
}

/** A session that made an invoice of its payment: what it sold is granted by the session alone. */
async function isOfSession({ reader }: PlanLooksDeps, invoice: InvoiceFacts): Promise<boolean> {
  if (invoice.subscription !== null) return false
  for (const payment of new Set(invoice.payments)) {
    if ((await reader.sessionOf(payment)) !== null) return true
  }
  return false
}

async function lookAtInvoice(deps: PlanLooksDeps, id: string): Promise<Look<Written>> {
  const { db, invoices, catalogue } = deps
  const invoice = await invoices.invoice(id)
  const of = await readOfInvoice(deps, invoice.subscription)
  const subscription = of?.facts ?? null
  const wanted = pricesToRead(invoice)
  const prices = new Map(
    await Promise.all(wanted.map(async (price) => [price, await invoices.price(price)] as const)),
  )
  const accountId = await accountOfCustomer(db, invoice.customer)
  const input = { invoice, subscription, accountId, catalogue: catalogue(), prices }
  const isSold = await isOfSession(deps, invoice)
  const fresh = isSold ? nothing('granted by its session') : decideInvoice(input)
  const known = await readSales(db, id)
  const stored = withStored(known, { ...fresh, sales: underStoredKeys(known, fresh.sales) })
  const { sales } = stored
  const plans = keysOfPlans(invoice, sales, catalogue())
  const decision = { ...stored, keys: [...keysOfPacks(sales, catalogue()), ...plans] }
  const policy = catalogue().policies.dispute
  return {
    async write(tx, nowMs) {
      // Before the account is locked, as the look at the subscription itself does.
      await of?.take(tx, nowMs)
      await noteEmail(tx, deps.ids, { ...decision, email: invoice.email }, nowMs)
      const written = await writePayment(tx, { ...deps, policy }, invoice, decision, nowMs)
      await judgeRepeats(tx, deps.findings, decision)
      await writeInvoice(tx, deps, invoice, subscription, nowMs)
      await tellAction(tx, deps, invoice, isOurs(input) ? accountId : null, nowMs)
      if (subscription === null) return written
      const accounts = new Set(written.accounts)
      const { accountId: payer } = decision
      if (
        payer !== null &&
        (await endIncluded(tx, deps, { subscription, accountId: payer }, nowMs))
      )
        accounts.add(payer)
      if (accountId !== null && (await writeSubscription(tx, deps, subscription, accountId, nowMs)))
        accounts.add(accountId)
      return { ...written, accounts: [...accounts] }
    },
  }
}

async function lookAtSubscription(deps: PlanLooksDeps, id: string): Promise<Look<Written>> {
  const it = await deps.invoices.subscription(id)
  const accountId = await accountOfCustomer(deps.db, it.customer)
  if (accountId === null) return { write: () => Promise.resolve(none('of nobody we know')) }
  const keepFeatures = await readFeatures(deps, it.customer, accountId)
  return {
    async write(tx, nowMs) {
      await keepFeatures?.(tx, nowMs)
      const ended = await endIncluded(tx, deps, { subscription: it, accountId }, nowMs)
      const changed = await writeSubscription(tx, deps, it, accountId, nowMs)
      const accounts = ended || changed ? [accountId] : []
      return { ...none(`subscription is ${it.status}`), accounts }
    },
  }
}

/** Invoices and subscriptions: what a plan includes, and its end. */
export const makePlanLooks = (deps: PlanLooksDeps) => ({
  invoice: (id: string) => lookAtInvoice(deps, id),
  subscription: (id: string) => lookAtSubscription(deps, id),
})

/** Money of an invoice that went back in a way that claws nothing back: a person decides. */
export function creditNoteFinding(
  id: string,
  note: { readonly invoice: string; readonly status: string; readonly elsewhere: number },
): Finding[] {
  if (note.status === 'void' || note.elsewhere === 0) return []
  const evidence = { invoice: note.invoice, amount: note.elsewhere }
  return [{ kind: 'stripe_credit_note', severity: 'review', subject: id, evidence }]
}
