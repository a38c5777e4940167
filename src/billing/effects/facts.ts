import type { MoneyBack } from './share.ts'

/** What Stripe says, read just now, in our words. Amounts in the currency's smallest unit. */
export interface DisputeFacts {
  readonly id: string
  readonly status: string
  readonly amount: number
  /** Taken and not given back, in the payment's currency. */
  readonly withdrawn: number
}

export interface SessionLine {
  readonly id: string
  readonly price: string | null
  readonly quantity: number
  /** Its price leaves the amount to the buyer. Absent = it does not. */
  readonly isAmountChosen?: boolean
}

export interface SessionFacts {
  readonly id: string
  readonly mode: string
  readonly status: string | null
  readonly paymentStatus: string
  readonly paymentIntent: string | null
  readonly subscription: string | null
  /** Of a session that sells a plan. */
  readonly invoice: string | null
  readonly customer: string | null
  /** As the buyer gave it. */
  readonly email: string | null
  readonly currency: string | null
  readonly amountSubtotal: number | null
  readonly amountTotal: number | null
  readonly createdMs: number
  /** Our own row, where the session says that it is ours. */
  readonly checkoutId: string | null
  readonly lines: readonly SessionLine[]
}

export interface PaymentFacts extends MoneyBack {
  /** pi_…, or cs_… where nothing had to be paid. */
  readonly id: string
  readonly status: string
  readonly isPaid: boolean
  readonly currency: string
  readonly paidAtMs: number
  readonly disputes: readonly DisputeFacts[]
}
