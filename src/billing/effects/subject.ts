/** What an event asks to look at. */
export interface Subject {
  readonly kind:
    | 'session'
    | 'payment'
    | 'charge'
    | 'refund'
    | 'dispute'
    | 'warning'
    | 'invoice'
    | 'subscription'
    | 'credit_note'
    | 'customer'
    | 'method'
    | 'setup'
    | 'entitlements'
  readonly id: string
}

/** By the first fitting beginning. What is not here moves nothing of ours: it is kept, and done. */
const KINDS: readonly (readonly [string, Subject['kind'] | null])[] = [
  ['checkout.session.', 'session'],
  ['payment_intent.', 'payment'],
  ['charge.dispute.', 'dispute'],
  ['charge.refund.', 'refund'],
  ['charge.', 'charge'],
  ['refund.', 'refund'],
  ['radar.early_fraud_warning.', 'warning'],
  ['invoice.upcoming', null], // an invoice without an id
  ['invoice.payment_succeeded', null], // always beside invoice.paid
  ['invoice.', 'invoice'],
  ['customer.subscription.', 'subscription'],
  ['credit_note.', 'credit_note'],
  ['customer.deleted', 'customer'],
  ['customer.updated', 'customer'],
  ['payment_method.', 'method'],
  ['setup_intent.succeeded', 'setup'],
  ['entitlements.active_entitlement_summary.', 'entitlements'],
]

/** null = there is nothing to look at. Source: stripe.md §3. */
export function subjectOf(type: string, objectId: string | null): Subject | null {
  const kind = KINDS.find(([beginning]) => type.startsWith(beginning))?.[1] ?? null
  return kind === null || objectId === null ? null : { kind, id: objectId }
}
