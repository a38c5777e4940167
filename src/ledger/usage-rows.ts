import { addMicros, type Micros } from '../kernel/money.ts'
import { plainColumn, textColumn } from './columns.ts'
import type { Posting } from './plan.ts'

/** Receipts as write-sheets.sql reads them. Throws RangeError for a time that is none. */
export function usageColumns(postings: readonly Posting[]): string[] {
  const receipts = postings.map(({ receipt }) => receipt)
  const iso = (ms: number): string => new Date(ms).toISOString()
  return [
    textColumn(receipts, (r) => r.holdId),
    plainColumn(receipts, (r) => r.rev),
    textColumn(receipts, (r) => r.accountId),
    textColumn(receipts, (r) => r.keyId),
    plainColumn(postings, (p) => p.version),
    plainColumn(receipts, (r) => r.micros),
    plainColumn(receipts, (r) => r.day),
    plainColumn(receipts, (r) => iso(r.reservedAtMs)),
    plainColumn(receipts, (r) => iso(r.startedAtMs)),
    textColumn(receipts, (r) => r.protocol),
    textColumn(receipts, (r) => r.endpoint),
    textColumn(receipts, (r) => r.upstream),
    textColumn(receipts, (r) => r.model),
    plainColumn(receipts, (r) => r.stream),
    plainColumn(receipts, (r) => r.estimated),
    plainColumn(postings, (p) => p.late),
    textColumn(receipts, (r) => JSON.stringify(r.usage)),
    plainColumn(receipts, (r) => r.providerCostPicoUsd),
    textColumn(receipts, (r) => r.priceVersion),
    plainColumn(receipts, (r) => r.httpStatus),
    plainColumn(receipts, (r) => r.firstByteMs),
    plainColumn(receipts, (r) => r.durationMs),
  ]
}

interface SpendRow {
  readonly key_id: string
  readonly day: number
  readonly micros: Micros
}

/** Spend by key and day, one row each: an upsert must not meet the same row twice. */
export function spendRows(postings: readonly Posting[]): SpendRow[] {
  const rows = new Map<string, SpendRow>()
  for (const { receipt, deltaMicros } of postings) {
    if (deltaMicros === 0) continue
    const { keyId, day } = receipt
    const name = `${day} ${keyId}`
    const before = rows.get(name)?.micros
    const micros = before === undefined ? deltaMicros : addMicros(before, deltaMicros)
    rows.set(name, { key_id: keyId, day, micros })
  }
  return [...rows.values()]
}
