import { z } from 'zod'
import { KEY_LOOKUP_BATCH_MAX, KEY_LOOKUP_QUEUE_MAX } from '../kernel/limits.ts'
import type { Tx } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'
import type { Caller } from './access.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['find-callers'])

/** What Postgres knows of a secret. */
export interface FoundCaller {
  readonly caller: Caller
  readonly active: boolean
  /** Unix ms; null = never. */
  readonly expiresAtMs: number | null
  readonly keySeq: number
  readonly accountSeq: number
}

const names = z.array(z.string()).nullable()
const callerRow = z
  .object({
    hash: z.string(),
    key_id: z.string(),
    kind: z.enum(['client', 'backend']),
    account_id: z.string().nullable(),
    status: z.enum(['active', 'revoked']),
    models: names,
    endpoints: names,
    expires_at: z.number().nullable(),
    key_seq: z.number(),
    markup: z.string().nullable(),
    account_seq: z.number().nullable(),
  })
  .transform((row): FoundCaller & { hash: string } => ({
    hash: row.hash,
    caller: {
      keyId: row.key_id,
      keyKind: row.kind,
      accountId: row.account_id ?? '',
      models: row.models,
      endpoints: row.endpoints,
      markup: row.markup,
    },
    active: row.status === 'active',
    expiresAtMs: row.expires_at,
    keySeq: row.key_seq,
    accountSeq: row.account_seq ?? 0,
  }))

interface Waiting {
  readonly promise: Promise<FoundCaller | null>
  resolve(found: FoundCaller | null): void
  reject(error: unknown): void
}

/** Thrown when more secrets wait to be looked up than this process remembers: answer 503. */
export class LookupQueueFullError extends Error {
  override readonly name = 'LookupQueueFullError'
}

/**
 * Looks secrets up by the hex of their hash: one statement at a time for all that wait, and once
 * for each, however many requests ask. So made-up keys cost one connection at most, and a key that
 * became popular while it was not cached costs one row.
 */
export function makeLookup(db: Tx): (hash: string) => Promise<FoundCaller | null> {
  const waiting = new Map<string, Waiting>()
  const asked = new Map<string, Waiting>()
  let running = false

  async function ask(batch: ReadonlyMap<string, Waiting>): Promise<void> {
    try {
      const hashes = [...batch.keys()].map((hash) => Buffer.from(hash, 'hex'))
      const rows = await db.query(sql['find-callers'], [hashes])
      const found = new Map(rows.map((row) => callerRow.parse(row)).map((row) => [row.hash, row]))
      for (const [hash, waiter] of batch) waiter.resolve(found.get(hash) ?? null)
    } catch (error) {
      for (const waiter of batch.values()) waiter.reject(error)
    }
  }

  async function run(): Promise<void> {
    running = true
    while (waiting.size > 0) {
      for (const [hash, waiter] of waiting) {
        if (asked.size >= KEY_LOOKUP_BATCH_MAX) break
        waiting.delete(hash)
        asked.set(hash, waiter)
      }
      await ask(asked)
      asked.clear()
    }
    running = false
  }

  return (hash) => {
    const same = asked.get(hash) ?? waiting.get(hash)
    if (same !== undefined) return same.promise
    if (waiting.size >= KEY_LOOKUP_QUEUE_MAX) {
      return Promise.reject(new LookupQueueFullError('too many unknown keys at once'))
    }
    const waiter: Waiting = Promise.withResolvers<FoundCaller | null>()
    waiting.set(hash, waiter)
    // `ask` passes every failure to its waiters, so that the queue's own promise never rejects.
    if (!running) void run()
    return waiter.promise
  }
}
