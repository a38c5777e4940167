import type { Clock } from '../../kernel/clock.ts'
import type { Ids } from '../../kernel/ids.ts'
import type { Db } from '../../store/db.ts'
import { loadSql } from '../../store/sql.ts'
import { writeAudit } from '../audit.ts'
import type { Entitle } from './entitle.ts'
import { overrideRow, type Override } from './overrides.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'add-override',
  'find-override',
  'end-override',
])

/** Comps and support exceptions of single accounts. Source: design §7. */
export interface Exceptions {
  /**
   * What they change rules from the answer on, once the account is loaded. `id` is given where a
   * repeated request must name the same one; else null. null = no account.
   */
  add(
    accountId: string,
    id: string | null,
    asked: Pick<Override, 'patch' | 'reason' | 'actor' | 'expiresAtMs'>,
  ): Promise<{ readonly override: Override; readonly created: boolean } | null>
  /** Whether the account has, or had, an exception of this id. */
  has(accountId: string, id: string): Promise<boolean>
  /** null = there is no such exception. */
  end(accountId: string, id: string, actor: string): Promise<Override | null>
}

export function makeExceptions(deps: {
  readonly db: Db
  readonly entitle: Pick<Entitle, 'entitle'>
  readonly clock: Clock
  readonly ids: Ids
}): Exceptions {
  const { db, entitle, clock, ids } = deps
  return {
    add: (accountId, given, { patch, reason, actor, expiresAtMs }) =>
      db.tx(async (tx) => {
        const nowMs = clock.now()
        const times = [new Date(expiresAtMs), new Date(nowMs)]
        const id = given ?? ids.uuid()
        const json = JSON.stringify(patch)
        const params = [id, accountId, json, reason, actor, ...times]
        const [row] = await tx.query(sql['add-override'], params)
        if (row === undefined) {
          const [known] = await tx.query(sql['find-override'], [id, accountId])
          if (known === undefined) return null
          return { override: overrideRow.parse(known), created: false }
        }
        const detail = {
          id,
          patch,
          reason,
          expires_at: new Date(expiresAtMs).toISOString(),
        }
        const entry = {
          actor,
          action: 'entitlements.override',
          subject: accountId,
          detail,
        }
        await writeAudit(tx, ids, entry, nowMs)
        await entitle.entitle(tx, accountId, nowMs)
        return { override: overrideRow.parse(row), created: true }
      }),
    async has(accountId, id) {
      return (await db.query(sql['find-override'], [id, accountId])).length > 0
    },
    end: (accountId, id, actor) =>
      db.tx(async (tx) => {
        const nowMs = clock.now()
        const params = [id, accountId, new Date(nowMs), actor]
        const [row] = await tx.query(sql['end-override'], params)
        if (row === undefined) return null
        const entry = {
          actor,
          action: 'entitlements.end',
          subject: accountId,
          detail: { id },
        }
        await writeAudit(tx, ids, entry, nowMs)
        await entitle.entitle(tx, accountId, nowMs)
        return overrideRow.parse(row)
      }),
  }
}
