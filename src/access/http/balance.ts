import { z } from 'zod'
import type { CreditEngine, HoldView } from '../../credits/commands.ts'
import { describeError, type Log } from '../../kernel/log.ts'
import { addMicros, viewCredits, ZERO, type Micros } from '../../kernel/money.ts'
import type { BalanceView, Books, LotView } from '../../ledger/books.ts'
import type { Reload } from '../reload.ts'
import { amountView } from './fields.ts'

/** What the ledger says together with what the credit engine says; null = it did not say. */
export interface LiveBalance {
  readonly posted: BalanceView
  readonly availableMicros: Micros | null
  readonly heldMicros: Micros | null
  /** Charged, on their way to Postgres. */
  readonly settledMicros: Micros | null
  readonly creditLimitMicros: Micros | null
}

export interface BalanceDeps {
  readonly books: Pick<Books, 'balance'>
  readonly engine: Pick<CreditEngine, 'viewAccount'>
  readonly reload: Reload
  readonly log: Log
}

const sumOf = (holds: readonly HoldView[], state: HoldView['state']): Micros =>
  holds
    .filter((hold) => hold.state === state)
    .reduce((sum, { micros }) => addMicros(sum, micros), ZERO)

/** Reads both stores, one after the other: in flight charges may show on either side. */
export async function readBalance(
  deps: BalanceDeps,
  accountId: string,
): Promise<LiveBalance | null> {
  const posted = await deps.books.balance(accountId)
  if (posted === null) return null
  const view = await viewLoaded(deps, accountId)
  return {
    posted,
    availableMicros: view?.availableMicros ?? null,
    creditLimitMicros: view?.creditLimitMicros ?? null,
    heldMicros: view === null ? null : sumOf(view.holds, 'held'),
    settledMicros: view === null ? null : sumOf(view.holds, 'settled'),
  }
}

/** An account that nobody used lately is not loaded yet. */
async function viewLoaded(deps: BalanceDeps, accountId: string) {
  try {
    const view = await deps.engine.viewAccount(accountId)
    if (view !== null) return view
    await deps.reload(accountId)
    return await deps.engine.viewAccount(accountId)
  } catch (error) {
    deps.log.warn({ error: describeError(error) }, 'the credit engine could not be asked')
    return null
  }
}

export const isoOrNull = (atMs: number | null): string | null =>
  atMs === null ? null : new Date(atMs).toISOString()

export const lotView = z.object({
  id: z.string(),
  kind: z.enum(['promo', 'included', 'paid']),
  state: z.enum(['pending', 'active', 'expired']),
  granted: amountView,
  remaining: amountView,
  priority: z.int(),
  effective_at: z.string().nullable(),
  expires_at: z.string().nullable(),
  reason: z.string(),
  reference_id: z.string(),
  created_at: z.string().nullable(),
})

export const viewLot = (lot: LotView): z.infer<typeof lotView> => ({
  id: lot.id,
  kind: lot.kind,
  state: lot.state,
  granted: viewCredits(lot.grantedMicros),
  remaining: viewCredits(lot.remainingMicros),
  priority: lot.priority,
  effective_at: isoOrNull(lot.effectiveAtMs),
  expires_at: isoOrNull(lot.expiresAtMs),
  reason: lot.reason,
  reference_id: lot.referenceId,
  created_at: isoOrNull(lot.createdAtMs),
})

/** `available` and `held` are null while the engine cannot be asked. Source: design §8. */
export const balanceView = z.object({
  account_id: z.string(),
  available: amountView.nullable(),
  held: amountView.nullable(),
  settled: amountView.nullable(),
  credit_limit: amountView.nullable(),
  posted: amountView,
  debt: amountView,
  overage: amountView,
  lots: z.array(lotView),
})

const amountOrNull = (amount: Micros | null) => (amount === null ? null : viewCredits(amount))

export const viewBalance = (balance: LiveBalance): z.infer<typeof balanceView> => ({
  account_id: balance.posted.accountId,
  available: amountOrNull(balance.availableMicros),
  held: amountOrNull(balance.heldMicros),
  settled: amountOrNull(balance.settledMicros),
  credit_limit: amountOrNull(balance.creditLimitMicros),
  posted: viewCredits(balance.posted.postedMicros),
  debt: viewCredits(balance.posted.debtMicros),
  overage: viewCredits(balance.posted.overageMicros),
  lots: balance.posted.lots.map(viewLot),
})
