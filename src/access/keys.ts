import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import type { Db, Row } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'
import { addKey, limitKey, renewKey, writeKey } from './key-writes.ts'
import { keyRow, type Key, type KeyLimits } from './rows.ts'
import { mintSecret, type KeyKind, type Mode } from './secrets.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['read-key', 'list-keys', 'revoke-key'])

export interface CreateKey {
  /** Given where a repeated request must name the same key; else a new one. */
  readonly id: string | null
  /** null for a backend key. */
  readonly accountId: string | null
  readonly limits: KeyLimits
  readonly actor: string
}

/** `secret` is shown once; null where an earlier request with the same name made it. */
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
  /**
   * A new secret; the old one ends at once. The same `idempotencyKey` again changes nothing,
   * however many rotations came between. null = unknown or revoked.
   */
  rotate(id: string, actor: string, idempotencyKey?: string | null): Promise<CreatedKey | null>
  /** For good. null = unknown. */
  revoke(id: string, actor: string): Promise<Key | null>
}

const first = (rows: readonly Row[]): Key | null => {
  const [row] = rows
  return row === undefined ? null : keyRow.parse(row)
}

export function makeKeys(deps: { db: Db; clock: Clock; ids: Ids; mode: Mode }): Keys {
  const { db, clock, ids, mode } = deps

  async function read(id: string): Promise<Key | null> {
    return first(await db.query(sql['read-key'], [id]))
  }

  return {
    read,
    async create({ id, accountId, limits, actor }) {
      const kind: KeyKind = accountId === null ? 'backend' : 'client'
      const minted = mintSecret(ids, kind, mode)
      const keyId = id ?? `key_${ids.uuid().replaceAll('-', '')}`
      const made = { id: keyId, accountId, limits, minted }
      const key = await db.tx((tx) => addKey(tx, { ids, actor }, made, clock.now()))
      if (key !== null) return { key, secret: minted.secret }
      const existing = await read(keyId)
      return existing === null ? null : { key: existing, secret: null }
    },
    async list(accountId, cursor, limit) {
      const rows = await db.query(sql['list-keys'], [accountId, cursor, limit])
      return rows.map((row) => keyRow.parse(row))
    },
    change(id, limits, actor) {
      return db.tx((tx) => limitKey(tx, { ids, actor }, { id, limits }, clock.now()))
    },
    async rotate(id, actor, idempotencyKey = null) {
      const existing = await read(id)
      if (existing === null) return null
      const minted = mintSecret(ids, existing.kind, mode)
      const renewed = { id, minted, idempotencyKey }
      const key = await db.tx((tx) => renewKey(tx, { ids, actor }, renewed, clock.now()))
      if (key !== null) return { key, secret: minted.secret }
      const rotated = await read(id)
      return rotated?.status === 'active' ? { key: rotated, secret: null } : null
    },
    revoke(id, actor) {
      const nowMs = clock.now()
      const params = [id, new Date(nowMs)]
      const write = { statement: sql['revoke-key'], params, actor, action: 'key.revoke' }
      return db.tx((tx) => writeKey(tx, ids, write, nowMs))
    },
  }
}
