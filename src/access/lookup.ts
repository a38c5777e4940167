import { z } from 'zod'
import type { Tx } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'
import type { Caller } from './access.ts'
import { makeBatched } from './batched.ts'

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
    plan_models: names,
    plan_endpoints: names,
    markup: z.string().nullable(),
    account_status: z.enum(['active', 'frozen', 'suspended']).nullable(),
    account_seq: z.number().nullable(),
  })
  .transform((row): FoundCaller & { hash: string } => ({
    hash: row.hash,
    caller: {
      keyId: row.key_id,
      keyKind: row.kind,
      accountId: row.account_id ?? '',
      accountStatus: row.account_status ?? 'active',
      keySeq: row.key_seq,
      models: row.models,
      endpoints: row.endpoints,
      planModels: row.plan_models,
      planEndpoints: row.plan_endpoints,
      markup: row.markup,
    },
    active: row.status === 'active',
    expiresAtMs: row.expires_at,
    keySeq: row.key_seq,
    accountSeq: row.account_seq ?? 0,
  }))

/** Looks secrets up by the hex of their hash. */
export const makeLookup = (db: Tx): ((hash: string) => Promise<FoundCaller | null>) =>
  makeBatched(async (hashes) => {
    const bytes = hashes.map((hash) => Buffer.from(hash, 'hex'))
    const rows = await db.query(sql['find-callers'], [bytes])
    return new Map(rows.map((row) => callerRow.parse(row)).map((row) => [row.hash, row]))
  })
