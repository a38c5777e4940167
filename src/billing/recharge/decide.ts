import { expiryAfter, isGivenBack, nothing, type Decision } from '../effects/decide.ts'
import type { Ending } from './end.ts'
import type { Failure } from './consequence.ts'
import type { RechargeFacts } from './read.ts'
import type { Attempt } from './rows.ts'

/** How what was paid differs from the attempt; null = it does not. */
function differenceOf(attempt: Attempt, payment: RechargeFacts): string | null {
  const { paymentIntent: known } = attempt
  if (attempt.state === 'planned') return 'an attempt that was never made'
  if (known !== null && known !== payment.id) return 'paid before by another payment'
  if (attempt.customerId !== payment.customer) return 'customer'
  if (attempt.currency !== payment.currency) return 'currency'
  return attempt.amount === payment.paid ? null : 'amount'
}

/** What a recharge grants: only when it is paid, and exactly as it was asked for. */
export function decideRecharge(attempt: Attempt, payment: RechargeFacts): Decision {
  if (!payment.isPaid) return nothing(`recharge is ${payment.status}`)
  const difference = differenceOf(attempt, payment)
  if (difference !== null) {
    const { id, amount, currency } = attempt
    const asked = { attempt: id, amount, currency, payment: attempt.paymentIntent }
    const evidence = { difference, asked, paid: payment.paid, paid_in: payment.currency }
    const finding = { kind: 'stripe_amount_differs', severity: 'urgent' } as const
    const why = `paid otherwise than asked: ${difference}`
    if (isGivenBack(payment)) return nothing(why)
    return nothing(why, [{ ...finding, subject: payment.id, evidence }])
  }
  const sale = {
    key: `recharge:${attempt.id}`,
    itemKind: 'pack',
    itemId: attempt.packId,
    kind: 'paid',
    micros: attempt.micros,
    expiresAtMs: expiryAfter(payment.paidAtMs, attempt.expiresDays),
  } as const
  return { accountId: attempt.accountId, sales: [sale], why: 'recharge paid', findings: [] }
}

/** Why a bank or Stripe said no. */
export function failureOf({
  code,
  declineCode,
  adviceCode,
}: NonNullable<RechargeFacts['failure']>): Failure {
  const detail = declineCode === null ? code : `${code} (${declineCode})`
  if (code === 'authentication_required' || declineCode === 'authentication_required') {
    return { kind: 'authentication_required', detail }
  }
  const isOver = adviceCode === 'do_not_try_again'
  return { kind: isOver ? 'do_not_try_again' : 'declined', detail }
}

/** What becomes of the attempt; null = Stripe is not done with it. */
export function endingOf(payment: RechargeFacts, isGranted: boolean): Ending | null {
  switch (payment.status) {
    case 'succeeded':
      if (isGranted) return { state: 'succeeded' }
      return { state: 'failed', failure: { kind: 'amount_differs', detail: String(payment.paid) } }
    case 'canceled': {
      const { failure } = payment
      const trouble = { kind: 'trouble', detail: 'canceled' } as const
      return { state: 'canceled', failure: failure === null ? trouble : failureOf(failure) }
    }
    case 'requires_payment_method': {
      const failure = payment.failure ?? { code: 'not_paid', declineCode: null, adviceCode: null }
      return { state: 'failed', failure: failureOf(failure) }
    }
    default:
      return null
  }
}
