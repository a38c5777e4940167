import type { KeyLimits } from '../../access/rows.ts'
import { issueClaim } from '../../access/claims/issue.ts'
import type { Ids } from '../../kernel/ids.ts'
import type { Tx } from '../../store/db.ts'
import type { Catalogue } from '../catalogue.ts'
import type { Tell } from '../tell.ts'
import type { SaleItem } from './decide.ts'
import type { InvoiceFacts } from './read-invoice.ts'
import type { MoneyBack } from './share.ts'

/** A key that a payment comes with. */
export interface KeyItem {
  /** Names it for good: the purchase has this key and no other. */
  readonly purchase: string
  readonly itemKind: 'pack' | 'plan'
  readonly itemId: string
  readonly limits: KeyLimits
  /** It comes with the grant of this sale; null = with the payment itself. */
  readonly saleKey: string | null
}

/** Bought by a person who waits for it. Not so a recharge: its account has its key. */
const BOUGHT = /^(checkout|invoice):/

/** The keys that come with packs. */
export const keysOfPacks = (sales: readonly SaleItem[], catalogue: Catalogue): KeyItem[] =>
  sales.flatMap(({ key, itemKind, itemId }) => {
    const limits = itemKind === 'pack' ? catalogue.pack(itemId)?.issue_key : undefined
    if (limits === undefined || !BOUGHT.test(key)) return []
    return [{ purchase: key, itemKind, itemId, limits, saleKey: key }]
  })

/** Of a subscription, whatever its periods, plans and invoices: one key. */
export const purchaseOfPlan = (subscription: string): string => `subscription:${subscription}`

/** First periods, trials too, and changes of plan. A renewal is no purchase. */
const BEGINS = /^subscription_(create|update)$/

/** The keys that come with the plans of a paid invoice. */
export function keysOfPlans(
  invoice: InvoiceFacts,
  sales: readonly SaleItem[],
  catalogue: Catalogue,
): KeyItem[] {
  const { subscription } = invoice
  if (subscription === null || !invoice.isPaid) return []
  if (!BEGINS.test(invoice.billingReason ?? '')) return []
  return invoice.lines.flatMap(({ price, isOfPlan, amount }) => {
    const plan = price === null || !isOfPlan || amount < 0 ? null : catalogue.planOf(price)
    if (plan?.issue_key === undefined) return []
    const sale = sales.find(({ itemKind, itemId }) => itemKind === 'plan' && itemId === plan.id)
    const purchase = purchaseOfPlan(subscription)
    const limits = plan.issue_key
    return [{ purchase, itemKind: 'plan', itemId: plan.id, limits, saleKey: sale?.key ?? null }]
  })
}

/**
 * Notes the keys that come with a payment and has their links sent, in the transaction that grants
 * what was bought or gives it again, once however often; not while all of the money is given back.
 */
export async function issueKeys(
  tx: Tx,
  deps: { readonly ids: Ids; readonly tell?: Tell },
  of: { readonly accountId: string; readonly moved: ReadonlySet<string> } & MoneyBack,
  keys: readonly KeyItem[],
  nowMs: number,
): Promise<void> {
  const { accountId, moved, paid, refunded, withdrawn } = of
  if (paid > 0 && refunded + withdrawn >= paid) return
  for (const key of keys) {
    if (key.saleKey !== null && !moved.has(key.saleKey)) continue
    const claimId = await issueClaim(tx, deps.ids, { ...key, accountId }, nowMs)
    if (claimId === null) continue
    const data = { claim_id: claimId, round: 1 }
    const occasion = `claim_link:${claimId}:1`
    await deps.tell?.({ kind: 'claim_link', occasion, accountId, data }, nowMs, tx)
  }
}
