import { addMicros, type Micros } from '../kernel/money.ts'
import type { Posting } from './plan.ts'

/** A receipt as write-sheets.sql reads it. Throws RangeError for a time that is none. */
export function usageRow({ receipt, late, version }: Posting) {
  return {
    hold_id: receipt.holdId,
    rev: receipt.rev,
    account_id: receipt.accountId,
    key_id: receipt.keyId,
    version,
    micros: receipt.micros,
    day: receipt.day,
    reserved_at: new Date(receipt.reservedAtMs).toISOString(),
    started_at: new Date(receipt.startedAtMs).toISOString(),
    protocol: receipt.protocol,
    endpoint: receipt.endpoint,
    upstream: receipt.upstream,
    model: receipt.model,
    stream: receipt.stream,
    estimated: receipt.estimated,
    late,
    usage: receipt.usage,
    provider_cost_pico_usd: receipt.providerCostPicoUsd,
    price_version: receipt.priceVersion,
    http_status: receipt.httpStatus,
    first_byte_ms: receipt.firstByteMs,
    duration_ms: receipt.durationMs,
  }
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
