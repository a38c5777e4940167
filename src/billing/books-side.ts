import type Stripe from 'stripe'
import { makeDryLook, type DryLook } from './effects/dry-look.ts'
import type { Effects, EffectsDeps } from './effects/effects.ts'
import { readTouched } from './touched.ts'
import { isMissing } from './effects/gone.ts'
import { makeWalk, type Walk } from './walk.ts'

/** What reconciliation asks of Stripe; it imports nothing of Stripe's itself. */
export interface StripeSide {
  readonly walk: Walk
  readonly look: DryLook
  /** Whether Stripe has a payment, invoice or free checkout, and has it as paid. */
  isPaid(id: string): Promise<boolean>
  /** The plan that a price is of; null = of none. */
  planOf(price: string): string | null
  /** Which of some payments, invoices, sessions and subscriptions have changed since. */
  touched(ids: readonly string[], sinceMs: number): Promise<ReadonlySet<string>>
  /** Does what an event that names it would do. */
  mend(what: string, id: string): Promise<void>
}

const KINDS = ['payment', 'invoice', 'session', 'subscription'] as const

export function makeStripeSide(
  deps: EffectsDeps & { readonly stripe: Stripe; readonly effects: Effects },
): StripeSide {
  const { reader, invoices, effects, catalogue } = deps
  async function paid(id: string): Promise<boolean> {
    if (id.startsWith('in_')) return (await invoices.invoice(id)).isPaid
    if (id.startsWith('cs_')) return (await reader.session(id)).status === 'complete'
    return (await reader.payment(id)).isPaid
  }
  return {
    walk: makeWalk(deps.stripe),
    look: makeDryLook(deps),
    async isPaid(id) {
      try {
        return await paid(id)
      } catch (error) {
        if (isMissing(error)) return false
        throw error
      }
    },
    async touched(ids, sinceMs) {
      const { ids: all, paidBack } = await readTouched(deps.stripe, sinceMs)
      const found = new Set(ids.filter((id) => all.has(id)))
      const wanted = new Set(ids.filter((id) => id.startsWith('in_') && !all.has(id)))
      for (const payment of wanted.size === 0 ? [] : paidBack) {
        const invoice = await invoices.invoiceOf(payment)
        if (invoice !== null && wanted.has(invoice)) found.add(invoice)
      }
      return found
    },
    planOf: (price) => catalogue().planOf(price)?.id ?? null,
    async mend(what, id) {
      const kind = KINDS.find((one) => one === what)
      if (kind !== undefined) await effects.look({ kind, id }, () => Promise.resolve())
    },
  }
}
