import { sleep, type Clock } from '../../kernel/clock.ts'
import {
  STORED_IDS_DROP_MAX,
  STORED_ID_MS,
  STORED_ID_RETRY_MS,
} from '../../kernel/limits/background.ts'
import type { PostingLedgerOptions } from '../../ledger/posting-ledger.ts'
import type { Receipt } from '../../ledger/receipt.ts'
import type { Statement } from '../../ledger/sheets.ts'
import type { Db } from '../../store/db.ts'
import { textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'insert-stored-ids',
  'find-stored-ids',
  'remove-stored-id',
  'drop-expired-ids',
])

type WithIds = Pick<Receipt, 'accountId' | 'upstream' | 'model' | 'holdId' | 'storedIds'>

/** Whose the responses are that providers keep, and each item of them. */
export interface StoredIds {
  /**
   * The upstream of each id that is the account's own; the others are missing. Looks twice: an
   * answer may go out a moment before its posting where `durability` is settled. Throws where
   * Postgres is away.
   */
  find(accountId: string, ids: readonly string[]): Promise<ReadonlyMap<string, string>>
  remove(accountId: string, id: string): Promise<void>
  dropExpired(): Promise<void>
  /** What notes the ids of these receipts. */
  statements(receipts: readonly WithIds[], nowMs: number): readonly Statement[]
  /** What the posting of a receipt with ids writes beside it. */
  readonly alongside: NonNullable<PostingLedgerOptions['alongside']>
}

export function makeStoredIds({ db, clock }: { db: Db; clock: Clock }): StoredIds {
  async function look(accountId: string, ids: readonly string[]): Promise<Map<string, string>> {
    const rows = await db.query(sql['find-stored-ids'], [accountId, ids, new Date(clock.now())])
    return new Map(rows.map((row) => [textOf(row, 'id'), textOf(row, 'upstream')]))
  }
  return {
    async find(accountId, ids) {
      const found = await look(accountId, ids)
      if (ids.every((id) => found.has(id))) return found
      await sleep(clock, STORED_ID_RETRY_MS)
      return look(accountId, ids)
    },
    async remove(accountId, id) {
      await db.query(sql['remove-stored-id'], [accountId, id])
    },
    async dropExpired() {
      await db.query(sql['drop-expired-ids'], [new Date(clock.now()), STORED_IDS_DROP_MAX])
    },
    statements,
    alongside: (postings, nowMs) =>
      statements(
        postings.map(({ receipt }) => receipt),
        nowMs,
      ),
  }
}

/** Pure. */
function statements(receipts: readonly WithIds[], nowMs: number): readonly Statement[] {
  const stored = receipts.flatMap((receipt) =>
    (receipt.storedIds ?? []).map((id) => ({ id, receipt })),
  )
  if (stored.length === 0) return []
  const params = [
    stored.map(({ receipt }) => receipt.accountId),
    stored.map(({ id }) => id),
    stored.map(({ receipt }) => receipt.upstream),
    stored.map(({ receipt }) => receipt.model),
    stored.map(({ receipt }) => receipt.holdId),
    new Date(nowMs + STORED_ID_MS),
  ]
  return [{ sql: sql['insert-stored-ids'], params }]
}
