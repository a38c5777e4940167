import { microsFromBigInt, subMicros, ZERO, type Micros } from '../../kernel/money.ts'

/** What became of a payment, in the currency's smallest unit. */
export interface MoneyBack {
  readonly paid: number
  /** Refunds that stand, pending ones included. */
  readonly refunded: number
  /** Taken by disputes and not given back. */
  readonly withdrawn: number
}

/** grant × part ÷ paid, rounded once, to the nearest; never more than the grant. */
function shareOf(grant: Micros, part: number, paid: number): Micros {
  if (paid <= 0 || part <= 0) return ZERO
  const [amount, of] = [BigInt(Math.min(part, paid)), BigInt(paid)]
  return microsFromBigInt((2n * BigInt(grant) * amount + of) / (2n * of))
}

/**
 * Credits to be taken back of a grant: in all grant × (refunded + withdrawn) ÷ paid, of which the
 * refunds' share counts as refund and the rest as dispute. Source: design §6 (I5).
 */
export function takenBack(
  grant: Micros,
  { paid, refunded, withdrawn }: MoneyBack,
): { readonly refundMicros: Micros; readonly disputeMicros: Micros } {
  const refundMicros = shareOf(grant, refunded, paid)
  const all = shareOf(grant, refunded + withdrawn, paid)
  return { refundMicros, disputeMicros: subMicros(all, refundMicros) }
}
