import type { Ids } from '../kernel/ids.ts'
import { uuidOf } from '../kernel/request-ids.ts'
import type { Param, Tx } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'
import { writeAudit } from './audit.ts'
import { keyRow, type Key, type KeyLimits } from './rows.ts'
import type { KeyKind, Minted } from './secrets.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'create-key',
  'change-key',
  'lock-key',
  'rotate-key',
])

const jsonOrNull = (names: readonly string[] | null): string | null =>
  names === null ? null : JSON.stringify(names)

/** $models, $endpoints … $expires_at, as create-key and change-key take them. */
const limitParams = (limits: KeyLimits): Param[] => [
  jsonOrNull(limits.models),
  jsonOrNull(limits.endpoints),
  limits.budget?.micros ?? null,
  limits.budget?.period ?? null,
  limits.requestsPerMinute,
  limits.tokensPerMinute,
  limits.maxConcurrency,
  limits.expiresAtMs === null ? null : new Date(limits.expiresAtMs),
]

/** What of a key goes into audit_log. */
const auditDetail = (key: Key): Record<string, unknown> => ({
  account_id: key.accountId,
  kind: key.kind,
  prefix: key.prefix,
  ...key.limits,
})

export interface KeyWrite {
  readonly statement: string
  readonly params: readonly Param[]
  readonly actor: string
  readonly action: string
  /** Names the request in the audit log; absent = it has no name. */
  readonly requestId?: string | null
}

/** One statement on a key and its line in the audit log; null = the statement found no key. */
export async function writeKey(
  tx: Tx,
  ids: Ids,
  { statement, params, actor, action, requestId: id = null }: KeyWrite,
  nowMs: number,
): Promise<Key | null> {
  const [row] = await tx.query(statement, params)
  if (row === undefined) return null
  const key = keyRow.parse(row)
  const entry = { id, actor, action, subject: key.id, detail: auditDetail(key) }
  await writeAudit(tx, ids, entry, nowMs)
  return key
}

/** A key to be made. */
export interface NewKey {
  readonly id: string
  /** null for a backend key. */
  readonly accountId: string | null
  readonly limits: KeyLimits
  readonly minted: Minted
}

/** Makes a key; null = its id is taken, or there is no such account. */
export function addKey(
  tx: Tx,
  { ids, actor }: { readonly ids: Ids; readonly actor: string },
  { id, accountId, limits, minted }: NewKey,
  nowMs: number,
): Promise<Key | null> {
  const kind: KeyKind = accountId === null ? 'backend' : 'client'
  const lead = [id, accountId, kind, limits.name, minted.prefix, minted.hash]
  const params = [...lead, ...limitParams(limits), new Date(nowMs)]
  return writeKey(
    tx,
    ids,
    { statement: sql['create-key'], params, actor, action: 'key.create' },
    nowMs,
  )
}

/** Replaces what a key may do; null = unknown or revoked. */
export function limitKey(
  tx: Tx,
  { ids, actor }: { readonly ids: Ids; readonly actor: string },
  { id, limits }: Pick<NewKey, 'id' | 'limits'>,
  nowMs: number,
): Promise<Key | null> {
  const params = [id, limits.name, ...limitParams(limits), new Date(nowMs)]
  return writeKey(
    tx,
    ids,
    { statement: sql['change-key'], params, actor, action: 'key.change' },
    nowMs,
  )
}

/**
 * Gives a key another secret; the old one ends. `idempotencyKey` names the request; null = nothing
 * does. null = unknown, revoked, or the same request did so before.
 */
export async function renewKey(
  tx: Tx,
  { ids, actor }: { readonly ids: Ids; readonly actor: string },
  {
    id,
    minted,
    idempotencyKey = null,
  }: Pick<NewKey, 'id' | 'minted'> & { readonly idempotencyKey?: string | null },
  nowMs: number,
): Promise<Key | null> {
  const action = 'key.rotate'
  const requestId = idempotencyKey === null ? null : uuidOf([action, id], idempotencyKey, null)
  if (requestId !== null) await tx.query(sql['lock-key'], [id])
  const lead = [id, minted.prefix, minted.hash, new Date(nowMs)]
  const params = [...lead, idempotencyKey, requestId]
  return writeKey(
    tx,
    ids,
    { statement: sql['rotate-key'], params, actor, action, requestId },
    nowMs,
  )
}
