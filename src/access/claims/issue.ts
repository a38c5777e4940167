import { isDeepStrictEqual } from 'node:util'
import type { Ids } from '../../kernel/ids.ts'
import type { Tx } from '../../store/db.ts'
import { loadSql } from '../../store/sql.ts'
import { limitKey } from '../key-writes.ts'
import { keyRow, type KeyLimits } from '../rows.ts'
import { claimRow, type Claim } from './rows.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'issue-claim',
  'lock-purchase',
  'change-claim',
])
const keySql = loadSql(new URL('../sql/', import.meta.url), ['read-key'])

/** A key that comes with what was bought. */
export type Issue = Pick<Claim, 'purchase' | 'accountId' | 'itemKind' | 'itemId' | 'limits'>

/**
 * Notes, in the transaction of the purchase, that a key comes with it: to be claimed by a link.
 * Answers the claim's id; null where the purchase has its key already.
 */
export async function issueClaim(
  tx: Tx,
  ids: Ids,
  { purchase, accountId, itemKind, itemId, limits }: Issue,
  nowMs: number,
): Promise<string | null> {
  const id = ids.uuid()
  const json = JSON.stringify(limits)
  const params = [id, purchase, accountId, itemKind, itemId, json, new Date(nowMs)]
  return (await tx.query(sql['issue-claim'], params)).length === 1 ? id : null
}

const ACTOR = 'plan change'

/**
 * Brings the key of a purchase to what it came with now: a change of plan changes what its key may
 * do, not the key. `limits` null = the new plan comes without a key: the old limits stay. A key
 * that somebody gave limits of its own keeps them.
 */
export async function followItem(
  tx: Tx,
  ids: Ids,
  to: { readonly purchase: string; readonly itemId: string; readonly limits: KeyLimits | null },
  nowMs: number,
): Promise<void> {
  const [row] = await tx.query(sql['lock-purchase'], [to.purchase, to.itemId])
  if (row === undefined) return
  const claim = claimRow.parse(row)
  const limits = to.limits ?? claim.limits
  await tx.query(sql['change-claim'], [claim.id, to.itemId, JSON.stringify(limits)])
  if (claim.keyId === null || to.limits === null) return
  const [found] = await tx.query(keySql['read-key'], [claim.keyId])
  const key = found === undefined ? null : keyRow.parse(found)
  if (key === null || !isDeepStrictEqual(key.limits, claim.limits)) return
  await limitKey(tx, { ids, actor: ACTOR }, { id: key.id, limits }, nowMs)
}
