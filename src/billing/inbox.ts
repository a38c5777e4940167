import { z } from 'zod'
import type { Ids } from '../kernel/ids.ts'
import { STRIPE_EVENT_LEASE_MS } from '../kernel/limits/stripe.ts'
import type { Db, Row, Tx } from '../store/db.ts'
import { flagOf, numberOf, orNull, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import { makeKeepEvents, type Delivery, type Kept } from './keep-events.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'claim-events',
  'finish-event',
  'fail-event',
  'replay-event',
  'find-event',
  'list-events',
  'count-backlog',
])

export const EVENT_STATES = ['pending', 'done', 'ignored', 'dead'] as const
export type EventState = (typeof EVENT_STATES)[number]

/** An event that this process works on until its lease ends. */
export interface ClaimedEvent {
  readonly id: string
  readonly type: string
  readonly objectId: string | null
  readonly stripeAccount: string | null
  readonly payload: string
  /** This one included. */
  readonly attempts: number
  readonly occurredAtMs: number
  readonly receivedAtMs: number
  /** Fetched or set to work again by somebody, so that its delay is no fault. */
  readonly isByHand: boolean
  readonly lease: string
}

const maybeText = z.string().nullable()
const maybeTime = z.number().nullable()

/** An event as operators see it. */
export const eventRow = z.object({
  id: z.string(),
  seq: z.number(),
  type: z.string(),
  object_id: maybeText,
  stripe_account: maybeText,
  api_version: maybeText,
  is_thin: z.boolean(),
  source: z.enum(['webhook', 'sync']),
  state: z.enum(EVENT_STATES),
  outcome: maybeText,
  deliveries: z.number(),
  attempts: z.number(),
  due_at: z.number(),
  occurred_at: z.number(),
  received_at: z.number(),
  done_at: maybeTime,
})
export type EventView = z.infer<typeof eventRow>

export interface EventQuery {
  readonly state: EventState | null
  readonly type: string | null
  /** seq of the last one seen; null = from the newest. */
  readonly cursor: number | null
  readonly limit: number
}

export interface Backlog {
  readonly pending: number
  readonly dead: number
  /** When the longest waiting came, Unix ms; null = none waits. */
  readonly oldestMs: number | null
}

/** Events of Stripe between their delivery and their effect. Source: design §7. */
export interface Inbox {
  /** Resolves when it is in Postgres; throws where that is not certain. */
  store(delivery: Delivery, nowMs: number): Promise<Kept>
  claim(nowMs: number, limit: number): Promise<readonly ClaimedEvent[]>
  /** In the transaction of the effect. false = the lease is lost: roll back. */
  finish(tx: Tx, event: ClaimedEvent, outcome: string, nowMs: number): Promise<boolean>
  /** Again at `againAtMs`, or never: null. */
  fail(event: ClaimedEvent, why: string, againAtMs: number | null, nowMs: number): Promise<void>
  /** null = no such event. One that is being worked on stays as it is. */
  replay(id: string, nowMs: number): Promise<EventView | null>
  list(query: EventQuery): Promise<readonly EventView[]>
  backlog(): Promise<Backlog>
}

const readClaimed = (row: Row): ClaimedEvent => ({
  id: textOf(row, 'id'),
  type: textOf(row, 'type'),
  objectId: orNull(row, 'object_id', textOf),
  stripeAccount: orNull(row, 'stripe_account', textOf),
  payload: textOf(row, 'payload'),
  attempts: numberOf(row, 'attempts'),
  occurredAtMs: numberOf(row, 'occurred_at'),
  receivedAtMs: numberOf(row, 'received_at'),
  isByHand: flagOf(row, 'by_hand'),
  lease: textOf(row, 'lease'),
})

/** Postgres refuses NUL and half surrogates in text; errors of others may hold them. */
const keepable = (text: string): string =>
  text.replaceAll('\0', '\u{fffd}').toWellFormed().slice(0, 1_000)

export function makeInbox({ db, ids }: { readonly db: Db; readonly ids: Ids }): Inbox {
  return {
    store: makeKeepEvents(db),
    async claim(nowMs, limit) {
      const until = new Date(nowMs + STRIPE_EVENT_LEASE_MS)
      const params = [new Date(nowMs), limit, ids.uuid(), until]
      return (await db.query(sql['claim-events'], params)).map(readClaimed)
    },
    async finish(tx, { id, lease }, outcome, nowMs) {
      const params = [id, lease, 'done', keepable(outcome), new Date(nowMs)]
      return (await tx.query(sql['finish-event'], params)).length === 1
    },
    async fail({ id, lease }, why, againAtMs, nowMs) {
      const state = againAtMs === null ? 'dead' : 'pending'
      const params = [id, lease, state, keepable(why), new Date(againAtMs ?? nowMs)]
      await db.query(sql['fail-event'], params)
    },
    async replay(id, nowMs) {
      const [replayed] = await db.query(sql['replay-event'], [id, new Date(nowMs)])
      const row = replayed ?? (await db.query(sql['find-event'], [id]))[0]
      return row === undefined ? null : eventRow.parse(row)
    },
    async list({ state, type, cursor, limit }) {
      const rows = await db.query(sql['list-events'], [state, type, cursor, limit])
      return rows.map((row) => eventRow.parse(row))
    },
    async backlog() {
      const [row] = await db.query(sql['count-backlog'])
      if (row === undefined) throw new Error('unreachable: a count has a row')
      const oldestMs = orNull(row, 'oldest', numberOf)
      return { pending: numberOf(row, 'pending'), dead: numberOf(row, 'dead'), oldestMs }
    },
  }
}
