import { z } from 'zod'
import type { CreditEngine, HoldView } from '../../credits/commands.ts'
import { viewCredits, ZERO } from '../../kernel/money.ts'
import { nonZero } from '../../kernel/usage.ts'
import type { Books, ReceiptView } from '../../ledger/books.ts'
import { isoOrNull } from './balance.ts'
import { amountView } from './fields.ts'

/** Source: design §8 (receipt). While a request is in flight only its hold is known. */
export const receiptView = z.object({
  request_id: z.string(),
  status: z.enum(['posted', 'settled', 'held']),
  account_id: z.string(),
  key_id: z.string(),
  protocol: z.string().nullable(),
  endpoint: z.string().nullable(),
  upstream: z.string().nullable(),
  model: z.string().nullable(),
  stream: z.boolean().nullable(),
  estimated: z.boolean().nullable(),
  late: z.boolean(),
  usage: z.record(z.string(), z.unknown()),
  /** What was charged; nothing while it is only held. */
  cost: amountView,
  /** What was given back of it; `entries` are what is left of it on the books. */
  reversed: amountView,
  /** What is set aside for it now; null once it is settled. */
  held: amountView.nullable(),
  /** Exact decimal dollars; left out where the operator keeps it to himself. */
  provider_cost_usd: z.string().nullable().optional(),
  price_version: z.string().nullable(),
  entries: z.array(z.object({ lot_id: z.string().nullable(), line: z.string(), micros: z.int() })),
  http_status: z.int().nullable(),
  started_at: z.string().nullable(),
  first_byte_ms: z.int().nullable(),
  duration_ms: z.int().nullable(),
  posted_at: z.string().nullable(),
})
export type ReceiptBody = z.input<typeof receiptView>

const PICO_DIGITS = 12

/** "0.00123" for 1 230 000 000 pico-dollars: exact, however small. */
export function formatPicoUsd(pico: string): string {
  const digits = pico.padStart(PICO_DIGITS + 1, '0')
  const fraction = digits.slice(-PICO_DIGITS).replace(/0+$/, '')
  return `${digits.slice(0, -PICO_DIGITS)}${fraction === '' ? '' : `.${fraction}`}`
}

export function viewReceipt(receipt: ReceiptView, showProviderCost: boolean): ReceiptBody {
  const cost = { provider_cost_usd: formatPicoUsd(receipt.providerCostPicoUsd) }
  return {
    request_id: receipt.holdId,
    status: 'posted',
    account_id: receipt.accountId,
    key_id: receipt.keyId,
    protocol: receipt.protocol,
    endpoint: receipt.endpoint,
    upstream: receipt.upstream,
    model: receipt.model,
    stream: receipt.stream,
    estimated: receipt.estimated,
    late: receipt.late,
    usage: { ...nonZero(receipt.usage) },
    cost: viewCredits(receipt.micros),
    reversed: viewCredits(receipt.reversedMicros),
    held: null,
    ...(showProviderCost ? cost : {}),
    price_version: receipt.priceVersion,
    entries: receipt.entries.map(({ lotId, line, micros }) => ({ lot_id: lotId, line, micros })),
    http_status: receipt.httpStatus,
    started_at: isoOrNull(receipt.startedAtMs),
    first_byte_ms: receipt.firstByteMs,
    duration_ms: receipt.durationMs,
    posted_at: isoOrNull(receipt.postedAtMs),
  }
}

/** A request in flight, or settled and on its way to Postgres. */
function viewHold(hold: HoldView): ReceiptBody {
  const isSettled = hold.state === 'settled'
  return {
    request_id: hold.holdId,
    status: hold.state,
    account_id: hold.accountId,
    key_id: hold.keyId,
    protocol: null,
    endpoint: null,
    upstream: null,
    model: null,
    stream: null,
    estimated: null,
    late: false,
    usage: {},
    cost: viewCredits(isSettled ? hold.micros : ZERO),
    reversed: viewCredits(ZERO),
    held: isSettled ? null : viewCredits(hold.micros),
    price_version: null,
    entries: [],
    http_status: null,
    started_at: null,
    first_byte_ms: null,
    duration_ms: null,
    posted_at: null,
  }
}

export interface ReceiptDeps {
  readonly books: Pick<Books, 'receipt'>
  readonly engine: Pick<CreditEngine, 'viewAccount'>
}

/**
 * The receipt of one request: posted, else settled or held where its account is known. null = none:
 * an id never seen, or a request that ended without a charge, which leaves no trace.
 */
export async function findReceipt(
  deps: ReceiptDeps,
  holdId: string,
  accountId: string | null,
  showProviderCost: boolean,
): Promise<ReceiptBody | null> {
  const posted = await deps.books.receipt(holdId, accountId)
  if (posted !== null) return viewReceipt(posted, showProviderCost)
  if (accountId === null) return null
  const view = await deps.engine.viewAccount(accountId)
  const hold = view?.holds.find((one) => one.holdId === holdId)
  if (hold !== undefined) return viewHold(hold)
  // It may have been posted and cleared between the two looks.
  const late = await deps.books.receipt(holdId, accountId)
  return late === null ? null : viewReceipt(late, showProviderCost)
}
