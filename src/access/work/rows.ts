import { z } from 'zod'
import { parseDraft, receiptText } from '../../credits/receipt-text.ts'
import type { ReceiptDraft } from '../../credits/holds.ts'
import { micros, type Micros } from '../../kernel/money.ts'
import { leastIdAt } from '../../ledger/reads.ts'
import { keptPriceSchema } from '../../pricing/kept.ts'
import type { Row, Tx } from '../../store/db.ts'
import { loadSql } from '../../store/sql.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'insert-work',
  'read-work',
  'find-work',
  'beat-work',
  'decide-work',
  'end-work',
  'ending-work',
  'drop-old-work',
])

const money = z.number().transform(micros)

const workRow = z
  .object({
    id: z.string(),
    account_id: z.string(),
    key_id: z.string(),
    maker: z.string(),
    state: z.enum(['open', 'settling', 'settled', 'releasing', 'released']),
    micros: money,
    day: z.number(),
    reserved_at: z.number(),
    ttl_ms: z.number(),
    lease_until: z.number(),
    progress_micros: money,
    price_upstream: z.string().nullable(),
    price_model: z.string().nullable(),
    kept_price: keptPriceSchema.nullable(),
    markup: z.string().nullable(),
    metadata: z.record(z.string(), z.string()),
    request_hash: z.string(),
    draft: z.unknown().transform(parseDraft),
    settled_micros: money.nullable(),
    created_at: z.number(),
  })
  .transform((row) => ({
    id: row.id,
    accountId: row.account_id,
    keyId: row.key_id,
    maker: row.maker,
    state: row.state,
    micros: row.micros,
    day: row.day,
    reservedAtMs: row.reserved_at,
    ttlMs: row.ttl_ms,
    leaseUntilMs: row.lease_until,
    progressMicros: row.progress_micros,
    price:
      row.price_upstream === null || row.price_model === null
        ? null
        : { upstream: row.price_upstream, model: row.price_model },
    keptPrice: row.kept_price,
    markup: row.markup,
    metadata: row.metadata,
    requestHash: row.request_hash,
    draft: row.draft,
    settledMicros: row.settled_micros,
    createdAtMs: row.created_at,
  }))

/** A hold of work that does not pass the proxy. Times in Unix ms. */
export type WorkHold = z.infer<typeof workRow>

export type NewWork = Omit<WorkHold, 'state' | 'progressMicros' | 'settledMicros'> & {
  readonly requestKey: string | null
}

/** The statements behind them, one function each. null = no such row, or not open any more. */
export interface WorkRows {
  insert(work: NewWork): Promise<WorkHold | null>
  read(id: string): Promise<WorkHold | null>
  find(accountId: string, maker: string, requestKey: string): Promise<WorkHold | null>
  beat(
    id: string,
    beat: { ttlMs: number; leaseUntilMs: number; progressMicros: Micros; draft: ReceiptDraft },
    nowMs: number,
  ): Promise<WorkHold | null>
  settle(id: string, micros: Micros, draft: ReceiptDraft, nowMs: number): Promise<WorkHold | null>
  release(id: string, nowMs: number): Promise<WorkHold | null>
  end(id: string, state: 'settled' | 'released', nowMs: number): Promise<void>
  /** Decided before `beforeMs`, and perhaps not carried out. */
  ending(beforeMs: number, limit: number): Promise<readonly WorkHold[]>
  /** Forgets what was made, touched and let to lapse before. What is being ended stays. */
  dropOld(beforeMs: number, limit: number): Promise<void>
}

const first = ([row]: readonly Row[]): WorkHold | null =>
  row === undefined ? null : workRow.parse(row)

export function makeWorkRows(db: Tx): WorkRows {
  return {
    async insert(work) {
      const { price, keptPrice } = work
      const made = [work.id, work.accountId, work.keyId, work.maker, work.micros, work.day]
      const lease = [new Date(work.reservedAtMs), work.ttlMs, new Date(work.leaseUntilMs)]
      const kept = keptPrice === null ? null : JSON.stringify(keptPrice)
      const terms = [price?.upstream ?? null, price?.model ?? null, kept, work.markup]
      const asked = [JSON.stringify(work.metadata), work.requestKey, work.requestHash]
      const rest = [receiptText(work.draft), new Date(work.createdAtMs)]
      const params = [...made, ...lease, ...terms, ...asked, ...rest]
      return first(await db.query(sql['insert-work'], params))
    },
    read: async (id) => first(await db.query(sql['read-work'], [id])),
    find: async (accountId, maker, key) =>
      first(await db.query(sql['find-work'], [accountId, maker, key])),
    async beat(id, { ttlMs, leaseUntilMs, progressMicros, draft }, nowMs) {
      const lease = [ttlMs, new Date(leaseUntilMs)]
      const params = [id, ...lease, progressMicros, receiptText(draft), new Date(nowMs)]
      return first(await db.query(sql['beat-work'], params))
    },
    async settle(id, amount, draft, nowMs) {
      const params = [id, 'settling', amount, receiptText(draft), new Date(nowMs)]
      return first(await db.query(sql['decide-work'], params))
    },
    async release(id, nowMs) {
      const params = [id, 'releasing', null, null, new Date(nowMs)]
      return first(await db.query(sql['decide-work'], params))
    },
    async end(id, state, nowMs) {
      await db.query(sql['end-work'], [id, state, new Date(nowMs)])
    },
    async ending(beforeMs, limit) {
      const rows = await db.query(sql['ending-work'], [new Date(beforeMs), limit])
      return rows.map((row) => workRow.parse(row))
    },
    async dropOld(beforeMs, limit) {
      await db.query(sql['drop-old-work'], [leastIdAt(beforeMs), new Date(beforeMs), limit])
    },
  }
}
