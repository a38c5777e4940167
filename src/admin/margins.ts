import { z } from 'zod'
import { isoOrNull } from '../access/http/balance.ts'
import { amountView } from '../access/http/fields.ts'
import { formatPicoUsd } from '../access/http/receipts.ts'
import { viewCredits } from '../kernel/money.ts'
import { MARGIN_GROUPS, type MarginQuery, type MarginSums } from '../ledger/margins/margins.ts'
import { isLosing, marginOf, marginPercent, type RankedMargins } from '../ledger/margins/rank.ts'

/** Dollars are exact decimals in quotes. Of requests whose provider cost is known. */
const sums = z.object({
  requests: z.int(),
  /** Of them, those whose provider reported no usage. */
  estimated_requests: z.int(),
  /** After reversals, from whatever credits. */
  charged: amountView,
  reversed: amountView,
  /** Which credits paid the charge. The first three are revenue. */
  paid_by: z.object({
    paid: amountView,
    included: amountView,
    overage: amountView,
    promo: amountView,
    debt: amountView,
  }),
  revenue_usd: z.string(),
  provider_cost_usd: z.string(),
  margin_usd: z.string(),
  /** Of the revenue, like "16.67"; null = there is none. */
  margin_percent: z.string().nullable(),
  /** It costs more than it brings. */
  losing: z.boolean(),
  /** Worth of what promo credits paid, and of what is owed: not in the revenue. */
  promo_usd: z.string(),
  debt_usd: z.string(),
  /** Charged in credits for work whose cost nobody told: neither in revenue nor in cost. */
  without_cost: z.object({ requests: z.int(), revenue_usd: z.string() }),
})

export const marginAnswer = z.object({
  by: z.enum(MARGIN_GROUPS),
  since: z.string().nullable(),
  until: z.string().nullable(),
  data: z.array(sums.extend({ name: z.string() })),
  /** What is not in `data`; with it it adds up to the total. */
  others: sums,
  total: sums,
})

const usd = (pico: bigint): string =>
  pico < 0n ? `-${formatPicoUsd(String(-pico))}` : formatPicoUsd(String(pico))

const viewSums = (of: MarginSums): z.input<typeof sums> => ({
  requests: of.requests,
  estimated_requests: of.estimated,
  charged: viewCredits(of.chargedMicros),
  reversed: viewCredits(of.reversedMicros),
  paid_by: {
    paid: viewCredits(of.paidMicros),
    included: viewCredits(of.includedMicros),
    overage: viewCredits(of.overageMicros),
    promo: viewCredits(of.promoMicros),
    debt: viewCredits(of.debtMicros),
  },
  revenue_usd: usd(of.revenuePicoUsd),
  provider_cost_usd: usd(of.costPicoUsd),
  margin_usd: usd(marginOf(of)),
  margin_percent: marginPercent(of),
  losing: isLosing(of),
  promo_usd: usd(of.promoPicoUsd),
  debt_usd: usd(of.debtPicoUsd),
  without_cost: { requests: of.uncostedRequests, revenue_usd: usd(of.uncostedPicoUsd) },
})

export const viewMargins = (
  { by, sinceMs, untilMs }: MarginQuery,
  { shown, others, total }: RankedMargins,
): z.input<typeof marginAnswer> => ({
  by,
  since: isoOrNull(sinceMs),
  until: isoOrNull(untilMs),
  data: shown.map((row) => ({ name: row.name, ...viewSums(row) })),
  others: viewSums(others),
  total: viewSums(total),
})
