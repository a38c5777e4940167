import type { Obj } from './json.ts'

/** How a payment method behaves when it is charged. */
export type Behaviour =
  | { readonly kind: 'pays' }
  | { readonly kind: 'declines'; readonly code: string; readonly declineCode: string }
  | { readonly kind: 'authenticates' }
  | { readonly kind: 'delays'; readonly fails: boolean }
  | { readonly kind: 'disputes'; readonly inquiry: boolean }
  | { readonly kind: 'warns' }
  | { readonly kind: 'refunds'; readonly how: 'pending' | 'fails' }

export interface TestMethod {
  readonly type: string
  readonly details: Obj
  readonly behaviour: Behaviour
}

export const PAYS: Behaviour = { kind: 'pays' }
const declines = (declineCode: string, code = 'card_declined'): Behaviour => ({
  kind: 'declines',
  code,
  declineCode,
})

function card(last4: string, behaviour: Behaviour): TestMethod {
  return {
    type: 'card',
    behaviour,
    details: {
      brand: last4 === '4444' ? 'mastercard' : 'visa',
      checks: { address_line1_check: null, address_postal_code_check: null, cvc_check: 'pass' },
      country: 'US',
      display_brand: last4 === '4444' ? 'mastercard' : 'visa',
      exp_month: 12,
      exp_year: 2034,
      fingerprint: `fp${last4}`,
      funding: 'credit',
      generated_from: null,
      last4,
      networks: { available: ['visa'], preferred: null },
      regulated_status: 'unregulated',
      three_d_secure_usage: { supported: true },
      wallet: null,
    },
  }
}

function debit(behaviour: Behaviour): TestMethod {
  return {
    type: 'sepa_debit',
    behaviour,
    details: {
      bank_code: '37040044',
      branch_code: '',
      country: 'DE',
      fingerprint: 'fpdebit',
      generated_from: { charge: null, setup_attempt: null },
      last4: '3000',
    },
  }
}

const INQUIRY: Behaviour = { kind: 'disputes', inquiry: true }

/** Stripe's own test names, and what the pay page offers. Source: docs.stripe.com/testing */
export const TEST_METHODS: ReadonlyMap<string, TestMethod> = new Map([
  ['pm_card_visa', card('4242', PAYS)],
  ['pm_card_mastercard', card('4444', PAYS)],
  ['pm_card_chargeCustomerFail', card('0341', declines('generic_decline'))],
  ['pm_card_visa_chargeDeclined', card('0002', declines('generic_decline'))],
  ['pm_card_visa_chargeDeclinedInsufficientFunds', card('9995', declines('insufficient_funds'))],
  ['pm_card_chargeDeclinedExpiredCard', card('0069', declines('expired_card', 'expired_card'))],
  ['pm_card_visa_chargeDeclinedLostCard', card('9987', declines('lost_card'))],
  ['pm_card_authenticationRequired', card('3184', { kind: 'authenticates' })],
  ['pm_card_createDispute', card('0259', { kind: 'disputes', inquiry: false })],
  ['pm_card_createDisputeInquiry', card('1976', INQUIRY)],
  ['pm_card_createIssuerFraudRecord', card('5423', { kind: 'warns' })],
  ['pm_card_pendingRefund', card('7726', { kind: 'refunds', how: 'pending' })],
  ['pm_card_refundFail', card('5126', { kind: 'refunds', how: 'fails' })],
  ['pm_sepaDebit', debit({ kind: 'delays', fails: false })],
  ['pm_sepaDebit_fails', debit({ kind: 'delays', fails: true })],
])
