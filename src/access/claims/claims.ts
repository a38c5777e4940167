import type { Clock } from '../../kernel/clock.ts'
import { isRefusal, refuse, type Refusal } from '../../kernel/errors.ts'
import type { Ids } from '../../kernel/ids.ts'
import type { Db, Row, Tx } from '../../store/db.ts'
import { numberOf, textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import { writeAudit } from '../audit.ts'
import type { Mode } from '../secrets.ts'
import { judge, type Looked } from './judge.ts'
import { makePress, type Press } from './press.ts'
import { claimRow, linkRow, listedClaimRow, type Claim, type ListedClaim } from './rows.ts'
import { hashToken, isToken, newToken } from './token.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'add-link',
  'find-link',
  'lock-claim',
  'open-claims',
  'renew-claim',
  'find-renewal',
  'list-claims',
])

/** Where claim pages are, and for how long a link opens one. */
export interface ClaimSettings {
  /** null = this server does not know its own address: no links. */
  readonly publicUrl: string | null
  readonly linkMs: number
}

/** What opens a claim's page. The url is nowhere else: show it or send it. */
export interface ClaimLink {
  readonly url: string
  readonly expiresAtMs: number
}

/**
 * Keys that come with purchases, handed over once. Tokens are drawn where a link is needed and are
 * never stored: the database holds hashes. Source: design §8 (claim).
 */
export interface Claims {
  readonly press: Press
  /** Changes nothing: link previews and mail scanners do this too. */
  look(token: string): Promise<Looked>
  /** Another link for a claim; null = it was claimed, or `round` is over. */
  link(claimId: string, round: number): Promise<ClaimLink | null>
  /**
   * A new link; those made before end. Without an id for the one claim of the account that is
   * open. With `rotate` also for a key that was claimed: pressing it gives the key a new secret.
   * The same request again makes another link beside its first one, as long as that opens.
   */
  renew(accountId: string, asked: RenewAsked, actor: string): Promise<Renewed | Refusal>
  list(accountId: string, cursor: string | null, limit: number): Promise<readonly ListedClaim[]>
}

export interface RenewAsked {
  readonly claimId: string | null
  readonly rotate: boolean
  /** A UUID that names the request; null = nothing does. */
  readonly requestId?: string | null
}

export interface Renewed extends ClaimLink {
  readonly claim: Claim
  /** false = the same request made a link before. */
  readonly created: boolean
}

export interface ClaimsDeps {
  readonly db: Db
  readonly clock: Clock
  readonly ids: Ids
  readonly mode: Mode
  readonly settings: () => ClaimSettings
}

const NO_URL = refuse('unsupported', 'Claim links need public_url in farebox.yaml.')
const NONE_OPEN = refuse('not_found', 'No key of this account waits to be claimed.')
const SEVERAL = refuse('conflict', 'Several keys wait to be claimed: name one with claim_id.')
const CLAIMED = refuse(
  'conflict',
  'This key was claimed. With "rotate": true the link gives it a new secret.',
)

const OVER = refuse(
  'conflict',
  'The link that this Idempotency-Key made is over: its key was claimed, or a later link was made.',
)

/** The claim that is meant, locked. */
async function choose(tx: Tx, accountId: string, { claimId, rotate }: RenewAsked) {
  let id = claimId
  if (id === null) {
    const open = await tx.query(sql['open-claims'], [accountId])
    const [first, second] = open.map((row) => textOf(row, 'id'))
    if (first === undefined) return NONE_OPEN
    if (second !== undefined) return SEVERAL
    id = first
  }
  const [row] = await tx.query(sql['lock-claim'], [accountId, id])
  if (row === undefined) return refuse('not_found', `This account has no claim ${id}.`)
  const claim = claimRow.parse(row)
  return claim.state === 'claimed' && !rotate ? CLAIMED : claim
}

/** Whether a link that a request made before still opens the claim. */
const isOf = (made: Row, { id, round, state }: Claim): boolean =>
  state === 'open' && textOf(made, 'claim_id') === id && numberOf(made, 'round') === round

export function makeClaims(deps: ClaimsDeps): Claims {
  const { db, clock, ids, settings } = deps

  async function addLink(
    tx: Tx,
    claim: Pick<Claim, 'id' | 'round'>,
    base: string,
  ): Promise<ClaimLink | null> {
    const nowMs = clock.now()
    const token = newToken(ids)
    const expiresAtMs = nowMs + settings().linkMs
    const until = new Date(expiresAtMs)
    const params = [hashToken(token), claim.id, claim.round, until, new Date(nowMs)]
    if ((await tx.query(sql['add-link'], params)).length === 0) return null
    return { url: `${base.replace(/\/+$/, '')}/claim/${token}`, expiresAtMs }
  }

  return {
    press: makePress(deps),
    async look(token) {
      if (!isToken(token)) return { state: 'unknown' }
      const [row] = await db.query(sql['find-link'], [hashToken(token)])
      return judge(row === undefined ? null : linkRow.parse(row), clock.now())
    },
    async link(claimId, round) {
      const { publicUrl } = settings()
      if (publicUrl === null) throw new Error('a claim link needs public_url')
      return addLink(db, { id: claimId, round }, publicUrl)
    },
    async renew(accountId, asked, actor) {
      const { publicUrl } = settings()
      if (publicUrl === null) return NO_URL
      return db.tx(async (tx) => {
        const chosen = await choose(tx, accountId, asked)
        if (isRefusal(chosen)) return chosen
        const { requestId: id = null } = asked
        const [made] = id === null ? [] : await tx.query(sql['find-renewal'], [id])
        if (made !== undefined && !isOf(made, chosen)) return OVER
        const [row] = made ? [] : await tx.query(sql['renew-claim'], [chosen.id])
        const claim = row === undefined ? chosen : claimRow.parse(row)
        const link = await addLink(tx, claim, publicUrl)
        if (link === null) throw new Error('unreachable: the claim is open')
        const detail = { account_id: accountId, round: claim.round, key_id: claim.keyId }
        const named = made === undefined ? { id } : {}
        const entry = { ...named, actor, action: 'claim.renew', subject: claim.id, detail }
        await writeAudit(tx, ids, entry, clock.now())
        return { claim, created: made === undefined, ...link }
      })
    },
    async list(accountId, cursor, limit) {
      const rows = await db.query(sql['list-claims'], [accountId, cursor, limit])
      return rows.map((row) => listedClaimRow.parse(row))
    },
  }
}
