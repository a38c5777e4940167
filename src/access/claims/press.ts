import { timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../kernel/clock.ts'
import type { Ids } from '../../kernel/ids.ts'
import { CLAIM_AGAIN_MS } from '../../kernel/limits/access.ts'
import type { Db, Tx } from '../../store/db.ts'
import { loadSql } from '../../store/sql.ts'
import { addKey, renewKey } from '../key-writes.ts'
import { keyRow, type Key } from '../rows.ts'
import { hashSecret, mintFrom, type Minted, type Mode } from '../secrets.ts'
import { judge } from './judge.ts'
import { linkRow, type Claim } from './rows.ts'
import { drawSecret, hashPress, hashToken, isPage, isToken, newPage } from './token.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['lock-link', 'close-claim', 'key-hash'])

export type Pressed =
  | {
      readonly state: 'revealed'
      readonly key: Key
      readonly secret: string
      /** The key had a secret before, which has ended. */
      readonly replaced: boolean
    }
  | { readonly state: 'claimed'; readonly claim: Claim }
  | { readonly state: 'expired' | 'unknown' | 'revoked' }

/**
 * The button of a claim's page. Makes the key, or gives it another secret, and answers it: to one
 * page of those that are pressed, however many press at once. That page may press again for
 * CLAIM_AGAIN_MS and gets the same answer, so that an answer that was lost on its way is not the
 * key lost. `page` is what the page was given when it was shown; anything else is a page of its
 * own, which cannot press again.
 */
export type Press = (token: string, page: string) => Promise<Pressed>

interface PressDeps {
  readonly db: Db
  readonly clock: Clock
  readonly ids: Ids
  readonly mode: Mode
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && timingSafeEqual(a, b)

/** The same answer again, where the same page presses soon and the key is still what it was. */
async function again(
  tx: Tx,
  claim: Claim,
  { minted, by, nowMs }: { minted: Minted; by: Uint8Array; nowMs: number },
): Promise<Pressed> {
  const { claimedBy, claimedAtMs, keyId } = claim
  const claimed = { state: 'claimed', claim } as const
  if (claimedBy === null || claimedAtMs === null || !isSame(claimedBy, by)) return claimed
  if (nowMs - claimedAtMs > CLAIM_AGAIN_MS) return claimed
  const [row] = await tx.query(sql['key-hash'], [keyId, hashSecret(minted.secret)])
  if (row === undefined) return claimed
  return { state: 'revealed', key: keyRow.parse(row), secret: minted.secret, replaced: false }
}

export function makePress({ db, clock, ids, mode }: PressDeps): Press {
  const writer = { ids, actor: 'claim' }

  /** The key of a claim that nobody has pressed. null = it was revoked meanwhile. */
  async function give(tx: Tx, claim: Claim, minted: Minted, nowMs: number): Promise<Key | null> {
    if (claim.keyId !== null) return renewKey(tx, writer, { id: claim.keyId, minted }, nowMs)
    const { accountId, limits } = claim
    const id = `key_${claim.id.replaceAll('-', '')}`
    return addKey(tx, writer, { id, accountId, limits, minted }, nowMs)
  }

  return async (token, given) => {
    if (!isToken(token)) return { state: 'unknown' }
    const page = isPage(given) ? given : newPage(ids)
    return db.tx(async (tx): Promise<Pressed> => {
      const [row] = await tx.query(sql['lock-link'], [hashToken(token)])
      const nowMs = clock.now()
      const looked = judge(row === undefined ? null : linkRow.parse(row), nowMs)
      if (!('claim' in looked)) return looked
      const { claim } = looked
      const minted = mintFrom(drawSecret(token, page, claim.id), 'client', mode)
      const by = hashPress(token, page)
      if (looked.state === 'claimed') return again(tx, claim, { minted, by, nowMs })
      const key = await give(tx, claim, minted, nowMs)
      if (key === null) return { state: 'revoked' }
      await tx.query(sql['close-claim'], [claim.id, key.id, by, new Date(nowMs)])
      return { state: 'revealed', key, secret: minted.secret, replaced: claim.keyId !== null }
    })
  }
}
