import { isoTime } from '../kernel/iso-time.ts'
import { addMicros, type Micros } from '../kernel/money.ts'
import type { Posting } from './plan.ts'
import type { Field } from './records.ts'

/** A receipt as write-sheets.sql reads it. Throws RangeError for a time that is none. */
export const receiptFields = ({ receipt, version, late }: Posting): Field[] => [
  receipt.holdId,
  receipt.rev,
  receipt.accountId,
  receipt.keyId,
  version,
  receipt.micros,
  receipt.day,
  isoTime(receipt.reservedAtMs),
  isoTime(receipt.startedAtMs),
  receipt.protocol,
  receipt.endpoint,
  receipt.upstream,
  receipt.model,
  receipt.stream,
  receipt.estimated,
  late,
  JSON.stringify(receipt.usage),
  receipt.providerCostPicoUsd,
  receipt.priceVersion,
  receipt.httpStatus,
  receipt.firstByteMs,
  receipt.durationMs,
]

/** Spend by key and day, one row each: an upsert must not meet the same row twice. */
export function spendRows(postings: readonly Posting[]): Field[][] {
  const rows = new Map<string, { keyId: string; day: number; micros: Micros }>()
  for (const { receipt, deltaMicros } of postings) {
    if (deltaMicros === 0) continue
    const { keyId, day } = receipt
    const name = `${day} ${keyId}`
    const before = rows.get(name)?.micros
    const micros = before === undefined ? deltaMicros : addMicros(before, deltaMicros)
    rows.set(name, { keyId, day, micros })
  }
  return [...rows.values()].map(({ keyId, day, micros }) => [keyId, day, micros])
}
