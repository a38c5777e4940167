import { z } from 'zod'
import type { Ids } from '../kernel/ids.ts'
import { NOTIFICATION_LEASE_MS } from '../kernel/limits/notify.ts'
import type { Statement } from '../ledger/sheets.ts'
import type { Db, Row, Tx } from '../store/db.ts'
import { numberOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { NotifyConfig } from './config.ts'
import { audienceOf, type Notice, type NoticeKind } from './notice.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'insert-notification',
  'insert-balance-notice',
  'claim-notifications',
  'finish-notification',
  'retry-notification',
  'find-retried',
  'list-notifications',
  'count-notifications',
])

export const NOTIFICATION_STATES = ['pending', 'sent', 'skipped', 'dead'] as const

const shared = {
  id: z.string(),
  kind: z.string(),
  channel: z.string(),
  audience: z.enum(['customer', 'operator']),
  account_id: z.string().nullable(),
  attempts: z.number(),
  created_at: z.number(),
}

const claimedRow = z.object({
  ...shared,
  data: z.json(),
  lease: z.string(),
  email: z.string().nullable(),
})
/** One message that this process sends until its lease ends. */
export type Claimed = z.infer<typeof claimedRow>

/** A notification as operators see it. */
export const notificationRow = z.object({
  ...shared,
  occasion: z.string(),
  state: z.enum(NOTIFICATION_STATES),
  note: z.string().nullable(),
  due_at: z.number(),
  done_at: z.number().nullable(),
})
export type NotificationView = z.infer<typeof notificationRow>

/** What became of one try. */
export type Ending =
  | { readonly state: 'sent' }
  | { readonly state: 'skipped' | 'dead'; readonly note: string }
  | { readonly state: 'pending'; readonly note: string; readonly againAtMs: number }

/** Which channels are meant: those, or all but those. */
export interface Channels {
  readonly names: readonly string[]
  readonly isOthers: boolean
}

/** Notifications between their occasion and their delivery. */
export interface Outbox {
  /** What notes it; none where nobody is to be told. Harmless to repeat. */
  statements(notice: Notice, nowMs: number): Statement[]
  /** The same of a mark that a balance passed, once for the newest credits of the account. */
  balanceStatements(notice: Notice, nowMs: number): Statement[]
  /** Notes it now, or in `tx`. */
  add(notice: Notice, nowMs: number, tx?: Tx): Promise<void>
  /** Of some channels, or of all others. */
  claim(nowMs: number, limit: number, of: Channels): Promise<readonly Claimed[]>
  /** false = the lease is lost: somebody else sends it, or did. */
  finish(claimed: Claimed, ending: Ending, nowMs: number): Promise<boolean>
  list(
    state: NotificationView['state'] | null,
    cursor: string | null,
    limit: number,
  ): Promise<readonly NotificationView[]>
  /**
   * Sends what was given up again, in `tx`; null = no such one. With the id of a request in the
   * audit log only where that is new.
   */
  retry(
    tx: Tx,
    id: string,
    requestId: string | null,
    nowMs: number,
  ): Promise<NotificationView | null>
  /** What a request sent again, as it is now; null = it did nothing. */
  retried(id: string, requestId: string): Promise<NotificationView | null>
  backlog(): Promise<{ readonly pending: number; readonly dead: number }>
}

export const EMAIL = 'email'
export const webhookChannel = (id: string): string => `webhook:${id}`

/** Where a kind of notice goes: mail to whom it concerns, and every webhook that wants it. */
function channelsOf(config: NotifyConfig, kind: NoticeKind): string[] {
  const isMailed =
    config.smtp_url !== undefined &&
    (audienceOf(kind) === 'customer' || config.operator_email !== undefined)
  const webhooks = config.webhooks.filter((one) => one.kinds?.includes(kind) ?? true)
  return [...(isMailed ? [EMAIL] : []), ...webhooks.map(({ id }) => webhookChannel(id))]
}

const keepable = (text: string): string =>
  text.replaceAll('\0', '\u{fffd}').toWellFormed().slice(0, 500)

const first = ([row]: readonly Row[]): NotificationView | null =>
  row === undefined ? null : notificationRow.parse(row)

export function makeOutbox(deps: {
  readonly db: Db
  readonly ids: Ids
  readonly config: () => NotifyConfig
}): Outbox {
  const { db, ids } = deps

  function inserts(text: string, notice: Notice, nowMs: number): Statement[] {
    const { kind, occasion, accountId, data } = notice
    const channels = channelsOf(deps.config(), kind)
    if (channels.length === 0) return []
    const params = [channels.map(() => ids.uuid()), channels, kind, occasion, audienceOf(kind)]
    const json = JSON.stringify(data)
    return [
      {
        sql: text,
        params: [...params, accountId, json, new Date(nowMs)],
      },
    ]
  }

  const statements: Outbox['statements'] = (...of) => inserts(sql['insert-notification'], ...of)

  return {
    statements,
    balanceStatements: (...of) => inserts(sql['insert-balance-notice'], ...of),
    async add(notice, nowMs, tx = db) {
      for (const { sql: text, params } of statements(notice, nowMs)) await tx.query(text, params)
    },
    async claim(nowMs, limit, { names, isOthers }) {
      const until = new Date(nowMs + NOTIFICATION_LEASE_MS)
      const times = [new Date(nowMs), limit, ids.uuid(), until]
      const params = [...times, [...names], !isOthers]
      const rows = await db.query(sql['claim-notifications'], params)
      return rows.map((row) => claimedRow.parse(row))
    },
    async finish({ id, lease }, ending, nowMs) {
      const note = ending.state === 'sent' ? null : keepable(ending.note)
      const isDone = ending.state === 'sent' || ending.state === 'skipped'
      const due = new Date(ending.state === 'pending' ? ending.againAtMs : nowMs)
      const params = [id, lease, ending.state, note, due, isDone ? new Date(nowMs) : null]
      return (await db.query(sql['finish-notification'], params)).length === 1
    },
    async list(state, cursor, limit) {
      const rows = await db.query(sql['list-notifications'], [state, cursor, limit])
      return rows.map((row) => notificationRow.parse(row))
    },
    async retry(tx, id, requestId, nowMs) {
      return first(await tx.query(sql['retry-notification'], [id, new Date(nowMs), requestId]))
    },
    async retried(id, requestId) {
      return first(await db.query(sql['find-retried'], [id, requestId]))
    },
    async backlog() {
      const [row] = await db.query(sql['count-notifications'])
      if (row === undefined) throw new Error('unreachable: a count has a row')
      return { pending: numberOf(row, 'pending'), dead: numberOf(row, 'dead') }
    },
  }
}
