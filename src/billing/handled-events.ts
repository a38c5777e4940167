import type Stripe from 'stripe'

/** What `farebox stripe setup` asks Stripe to deliver, and `doctor` looks for. */
export const SNAPSHOT_EVENTS = [
  ...(['checkout.session.completed', 'checkout.session.async_payment_succeeded'] as const),
  ...(['checkout.session.async_payment_failed', 'checkout.session.expired'] as const),
  ...(['payment_intent.succeeded', 'payment_intent.payment_failed'] as const),
  ...(['payment_intent.processing', 'payment_intent.requires_action'] as const),
  ...(['payment_intent.canceled', 'charge.refunded', 'charge.refund.updated'] as const),
  ...(['refund.created', 'refund.updated', 'refund.failed'] as const),
  ...(['charge.dispute.created', 'charge.dispute.updated', 'charge.dispute.closed'] as const),
  ...(['charge.dispute.funds_withdrawn', 'charge.dispute.funds_reinstated'] as const),
  ...(['radar.early_fraud_warning.created', 'radar.early_fraud_warning.updated'] as const),
  ...(['invoice.created', 'invoice.updated', 'invoice.finalized', 'invoice.paid'] as const),
  ...(['invoice.payment_failed', 'invoice.payment_action_required'] as const),
  ...(['invoice.finalization_failed', 'invoice.voided', 'invoice.overpaid'] as const),
  ...(['invoice.marked_uncollectible', 'invoice.upcoming'] as const),
  ...(['customer.subscription.created', 'customer.subscription.updated'] as const),
  ...(['customer.subscription.deleted', 'customer.subscription.paused'] as const),
  ...(['customer.subscription.resumed', 'customer.subscription.trial_will_end'] as const),
  ...(['customer.subscription.pending_update_applied'] as const),
  ...(['customer.subscription.pending_update_expired'] as const),
  ...(['credit_note.created', 'credit_note.updated', 'credit_note.voided'] as const),
  ...(['customer.updated', 'customer.deleted', 'payment_method.attached'] as const),
  ...(['payment_method.detached', 'payment_method.updated'] as const),
  ...(['payment_method.automatically_updated', 'setup_intent.succeeded'] as const),
  ...(['entitlements.active_entitlement_summary.updated'] as const),
  ...(['billing.meter.deactivated', 'billing.meter.reactivated'] as const),
] satisfies readonly Stripe.WebhookEndpointCreateParams.EnabledEvent[]

/** Told as thin events only, to a destination of their own. Source: stripe.md §3, §5. */
export const THIN_EVENTS = [
  'v1.billing.meter.error_report_triggered',
  'v1.billing.meter.no_meter_found',
] as const

export const WEBHOOK_API_VERSION = '2026-10-28.endive'
