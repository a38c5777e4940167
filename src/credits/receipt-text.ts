import { z } from 'zod'
import { micros } from '../kernel/money.ts'
import type { Receipt } from '../ledger/receipt.ts'
import type { RecoverReply } from './commands.ts'
import type { ReceiptDraft } from './holds.ts'

const whole = z.int()
const buckets = z.record(z.string(), z.number())
const iteration = z.object({ type: z.string(), model: z.string().nullable(), usage: buckets })

/** A receipt as it lies beside its hold. What recovery reads was written by any release. */
const receiptSchema = z.object({
  holdId: z.string(),
  accountId: z.string(),
  keyId: z.string(),
  startedAtMs: z.number(),
  protocol: z.string(),
  endpoint: z.string(),
  upstream: z.string(),
  model: z.string(),
  stream: z.boolean(),
  estimated: z.boolean(),
  usage: z.object({ iterations: z.array(iteration).optional() }).catchall(z.number()),
  providerCostPicoUsd: z.string().regex(/^\d+$/),
  priceVersion: z.string(),
  httpStatus: whole.nullable(),
  firstByteMs: z.number().nullable(),
  durationMs: z.number().nullable(),
  storedIds: z.array(z.string()).optional(),
  late: z.literal(true).optional(),
})

/** Text of a draft or a receipt for the credit engine. */
export const receiptText = (receipt: ReceiptDraft | Receipt): string => JSON.stringify(receipt)

type Recovered = Extract<RecoverReply, { kind: 'post' }>

/** A draft as it was kept, parsed as JSON. Throws where it is none. */
export function parseDraft(value: unknown): ReceiptDraft {
  const { usage, late, storedIds, ...kept } = receiptSchema.parse(value)
  const { iterations, ...units } = usage
  return {
    ...kept,
    usage: iterations === undefined ? units : { ...units, iterations },
    ...(storedIds && { storedIds }),
    ...(late && { late }),
  }
}

/** The receipt that recovery posts: the text beside the hold, with what the engine says of it. */
export function recoveredReceipt(reply: Recovered): Receipt {
  return {
    ...parseDraft(JSON.parse(reply.receipt)),
    rev: reply.rev,
    micros: micros(reply.micros),
    day: reply.day,
    reservedAtMs: reply.reservedAtMs,
  }
}
