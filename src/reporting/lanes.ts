import type { Ids } from '../kernel/ids.ts'
import { METER_LEASE_MS } from '../kernel/limits/meters.ts'
import type { Db } from '../store/db.ts'
import { numberOf, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import { readReady, type ReadyReport } from './rows.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'claim-lanes',
  'leave-lane',
  'next-report',
  'note-try',
  'untry-report',
  'end-report',
  'void-cancel',
  'sent-in-hour',
])

/** The reports of one customer and meter, in the hands of one process until its lease ends. */
export interface Lane {
  readonly customerId: string
  readonly eventName: string
  readonly lease: string
  /** Rounds that ended badly in a row, and this one. */
  readonly tries: number
}

export type Ending = 'sent' | 'refused' | 'late' | 'unclear' | 'replaced'

/** What is known of a report's end. */
interface End {
  readonly note: string | null
  /** The last try that may have been taken; absent = the last one. */
  readonly takenMs?: number | null
  /** It was the last try that was taken, and none before it. */
  readonly isSure?: boolean
}

/** A try that did nothing. */
export interface Untried {
  readonly note: string
  /** No earlier try of the report is in doubt. */
  readonly isNew: boolean
  /** Stripe refused it: not to be tried again before its fate is known. */
  readonly isRefused: boolean
}

/** What the sender of reports reads and writes. */
export interface Lanes {
  claim(nowMs: number, limit: number): Promise<readonly Lane[]>
  /** Due again at `dueMs`; null = nothing is left. `isWell` forgets the tries. */
  leave(lane: Lane, dueMs: number | null, isWell: boolean, nowMs: number): Promise<void>
  /** 'lost' = somebody else has the lane; null = nothing to send. */
  next(lane: Lane, nowMs: number): Promise<ReadyReport | 'lost' | null>
  /** Before a call. false = the lane is lost: do not call. */
  noteTry(lane: Lane, report: ReadyReport, isNew: boolean, nowMs: number): Promise<boolean>
  /** The try just made is known to have done nothing; those before it are in doubt as they were. */
  untry(report: ReadyReport, how: Untried): Promise<void>
  end(report: ReadyReport, state: Ending, how: End, nowMs: number): Promise<void>
  /** Neither a cancel nor the event that it was to take back is needed. */
  void(report: ReadyReport, note: string): Promise<void>
  /** Σ of what Stripe should have of the hour [startMs, endMs). */
  sentInHour(report: ReadyReport, startMs: number, endMs: number): Promise<number>
}

const NOTE_CHARS_MAX = 500
/** Postgres refuses NUL and half surrogates; what Stripe says may hold them. */
const keepable = (text: string): string =>
  text.replaceAll('\0', '\u{fffd}').toWellFormed().slice(0, NOTE_CHARS_MAX)

export function makeLanes({ db, ids }: { readonly db: Db; readonly ids: Ids }): Lanes {
  const until = (nowMs: number): Date => new Date(nowMs + METER_LEASE_MS)
  return {
    async claim(nowMs, limit) {
      const params = [new Date(nowMs), limit, ids.uuid(), until(nowMs)]
      return (await db.query(sql['claim-lanes'], params)).map((row) => ({
        customerId: textOf(row, 'customer_id'),
        eventName: textOf(row, 'event_name'),
        lease: textOf(row, 'lease'),
        tries: numberOf(row, 'tries'),
      }))
    },
    async leave({ customerId, eventName, lease }, dueMs, isWell, nowMs) {
      const due = dueMs === null ? null : new Date(dueMs)
      const params = [customerId, eventName, lease, due, isWell, new Date(nowMs)]
      await db.query(sql['leave-lane'], params)
    },
    async next({ customerId, eventName, lease }, nowMs) {
      const params = [customerId, eventName, lease, until(nowMs)]
      const [row] = await db.query(sql['next-report'], params)
      if (row === undefined) return 'lost'
      return row.id === null ? null : readReady(row)
    },
    async noteTry({ lease }, { id }, isNew, nowMs) {
      const params = [id, lease, new Date(nowMs), isNew]
      return (await db.query(sql['note-try'], params)).length === 1
    },
    async untry({ id, firstTriedMs, lastTriedMs }, { note, isNew, isRefused }) {
      const kept = keepable(note)
      const tried = [firstTriedMs, lastTriedMs].map((ms) =>
        isNew || ms === null ? null : new Date(ms),
      )
      await db.query(sql['untry-report'], [id, kept, ...tried, isRefused ? kept : null])
    },
    async end({ id }, state, { note, takenMs = null, isSure = false }, nowMs) {
      const sentAt = state === 'sent' ? new Date(nowMs) : null
      const kept = note === null ? null : keepable(note)
      const takenAt = takenMs === null ? null : new Date(takenMs)
      await db.query(sql['end-report'], [id, state, kept, sentAt, takenAt, isSure])
    },
    async void({ id }, note) {
      await db.query(sql['void-cancel'], [id, note])
    },
    async sentInHour({ customerId, eventName }, startMs, endMs) {
      const params = [customerId, eventName, new Date(startMs), new Date(endMs)]
      const [row] = await db.query(sql['sent-in-hour'], params)
      return row === undefined ? 0 : numberOf(row, 'value')
    },
  }
}
