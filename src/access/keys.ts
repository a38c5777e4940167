import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import type { Db, Param, Row } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'
import { writeAudit } from './audit.ts'
import { keyRow, type Key, type KeyLimits } from './rows.ts'
import { mintSecret, type KeyKind, type Mode } from './secrets.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'create-key',
  'read-key',
  'list-keys',
  'change-key',
  'rotate-key',
  'revoke-key',
])

export interface CreateKey {
  /** Given where a repeated request must name the same key; else a new one. */
  readonly id: string | null
  /** null for a backend key. */
  readonly accountId: string | null
  readonly limits: KeyLimits
  readonly actor: string
}

/** `secret` is shown once; null where an earlier request with the same id made the key. */
export interface CreatedKey {
  readonly key: Key
  readonly secret: string | null
}

/**
 * The keys of accounts and of operators' servers. Every change raises the key's `change_seq`; the
 * caller then loads it into the credit engine. Source: design §4, §8.
 */
export interface Keys {
  /** null = no such account. */
  create(input: CreateKey): Promise<CreatedKey | null>
  read(id: string): Promise<Key | null>
  /** In order of ids; `cursor` = the last id seen. `accountId` null = backend keys. */
  list(accountId: string | null, cursor: string | null, limit: number): Promise<readonly Key[]>
  /** null = unknown or revoked. */
  change(id: string, limits: KeyLimits, actor: string): Promise<Key | null>
  /** A new secret; the old one ends at once. null = unknown or revoked. */
  rotate(id: string, actor: string): Promise<CreatedKey | null>
  /** For good. null = unknown. */
  revoke(id: string, actor: string): Promise<Key | null>
}

const jsonOrNull = (names: readonly string[] | null): string | null =>
  names === null ? null : JSON.stringify(names)

/** $name, $models … $expires_at, as create-key and change-key take them. */
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

const first = (rows: readonly Row[]): Key | null => {
  const [row] = rows
  return row === undefined ? null : keyRow.parse(row)
}

/** What of a key goes into audit_log. */
const auditDetail = (key: Key): Record<string, unknown> => ({
  account_id: key.accountId,
  kind: key.kind,
  prefix: key.prefix,
  ...key.limits,
})

/** One statement and its line in the audit log, together. */
function makeWriter({ db, clock, ids }: { db: Db; clock: Clock; ids: Ids }) {
  return async (
    statement: string,
    params: (now: Date) => readonly Param[],
    { actor, action }: { actor: string; action: string },
  ): Promise<Key | null> => {
    const nowMs = clock.now()
    return db.tx(async (tx) => {
      const key = first(await tx.query(statement, params(new Date(nowMs))))
      if (key === null) return null
      const entry = { actor, action, subject: key.id, detail: auditDetail(key) }
      await writeAudit(tx, ids, entry, nowMs)
      return key
    })
  }
}

export function makeKeys(deps: { db: Db; clock: Clock; ids: Ids; mode: Mode }): Keys {
  const { db, ids, mode } = deps
  const write = makeWriter(deps)

  async function read(id: string): Promise<Key | null> {
    return first(await db.query(sql['read-key'], [id]))
  }

  return {
    read,
    async create({ id, accountId, limits, actor }) {
      const kind: KeyKind = accountId === null ? 'backend' : 'client'
      const minted = mintSecret(ids, kind, mode)
      const keyId = id ?? `key_${ids.uuid().replaceAll('-', '')}`
      const lead = [keyId, accountId, kind, limits.name, minted.prefix, minted.hash]
      const params = (now: Date): Param[] => [...lead, ...limitParams(limits), now]
      const key = await write(sql['create-key'], params, { actor, action: 'key.create' })
      if (key !== null) return { key, secret: minted.secret }
      const existing = await read(keyId)
      return existing === null ? null : { key: existing, secret: null }
    },
    async list(accountId, cursor, limit) {
      const rows = await db.query(sql['list-keys'], [accountId, cursor, limit])
      return rows.map((row) => keyRow.parse(row))
    },
    change(id, limits, actor) {
      const params = (now: Date): Param[] => [id, limits.name, ...limitParams(limits), now]
      return write(sql['change-key'], params, { actor, action: 'key.change' })
    },
    async rotate(id, actor) {
      const existing = await read(id)
      if (existing === null) return null
      const minted = mintSecret(ids, existing.kind, mode)
      const params = (now: Date): Param[] => [id, minted.prefix, minted.hash, now]
      const key = await write(sql['rotate-key'], params, { actor, action: 'key.rotate' })
      return key === null ? null : { key, secret: minted.secret }
    },
    revoke: (id, actor) =>
      write(sql['revoke-key'], (now) => [id, now], { actor, action: 'key.revoke' }),
  }
}
