import {
  STRIPE_GROUP_BYTES_MAX,
  STRIPE_GROUP_EVENTS_MAX,
  STRIPE_WAITING_BYTES_MAX,
} from '../kernel/limits/stripe.ts'
import type { Db, Param, Row } from '../store/db.ts'
import { flagOf, numberOf, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { IncomingEvent } from './event.ts'
import { makeGroups } from './groups.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['store-events'])

export interface Delivery {
  readonly event: IncomingEvent
  /** As it was signed. */
  readonly payload: string
  readonly source: 'webhook' | 'sync'
  /** Why it will not be worked on; null = it will. */
  readonly ignored: string | null
}

export interface Kept {
  /** false = it had come before. */
  readonly isNew: boolean
  /** How often it came, this one included; a sync counts once, where it was first. */
  readonly deliveries: number
}

interface Arrival {
  readonly delivery: Delivery
  readonly nowMs: number
}

/** Deliveries of one event within a group: one row, which the first of them fills. */
interface Same {
  readonly first: Arrival
  webhooks: number
}

/** What an arrival weighs beside its payload. */
const ROW_BYTES = 512

function together(arrivals: readonly Arrival[]): Map<string, Same> {
  const byId = new Map<string, Same>()
  for (const arrival of arrivals) {
    const { event, source } = arrival.delivery
    const same = byId.get(event.id) ?? { first: arrival, webhooks: 0 }
    if (source === 'webhook') same.webhooks += 1
    byId.set(event.id, same)
  }
  return byId
}

const iso = (ms: number): string => new Date(ms).toISOString()

function columnsOf(group: readonly Same[]): Param[] {
  const rows = group.map(({ first: { delivery, nowMs }, webhooks }): Param[] => {
    const { event, payload, ignored } = delivery
    return [
      ...[event.id, event.type, event.objectId, event.stripeAccount, event.apiVersion],
      ...[event.isThin, webhooks > 0 ? 'webhook' : 'sync', payload],
      ...[ignored === null ? 'pending' : 'ignored', ignored, iso(event.occurredAtMs)],
      ...[Math.max(1, webhooks), iso(nowMs)],
    ]
  })
  const [widest = []] = rows
  return widest.map((_, column) => rows.map((row) => row[column] ?? null))
}

/** The first delivery of an event that was not there is new, all others came again. */
function answersOf(arrivals: readonly Arrival[], rows: readonly Row[]): Kept[] {
  const byId = new Map(rows.map((row) => [textOf(row, 'id'), row]))
  const fresh = new Set(rows.filter((row) => flagOf(row, 'is_new')).map((row) => textOf(row, 'id')))
  return arrivals.map(({ delivery: { event } }) => {
    const row = byId.get(event.id)
    if (row === undefined) throw new Error('unreachable: each event has a row')
    return { isNew: fresh.delete(event.id), deliveries: numberOf(row, 'deliveries') }
  })
}

/**
 * Keeps deliveries, many with one commit. Resolves when this one is in Postgres; throws where that
 * is not certain. Source: design §7.
 */
export function makeKeepEvents(
  db: Pick<Db, 'query'>,
): (delivery: Delivery, nowMs: number) => Promise<Kept> {
  const keep = makeGroups<Arrival, Kept>({
    sizeOf: ({ delivery: { payload } }) => payload.length + ROW_BYTES,
    most: {
      items: STRIPE_GROUP_EVENTS_MAX,
      size: STRIPE_GROUP_BYTES_MAX,
      waiting: STRIPE_WAITING_BYTES_MAX,
    },
    async write(arrivals) {
      const inOrder = [...together(arrivals)].toSorted(([a], [b]) => (a < b ? -1 : 1))
      const params = columnsOf(inOrder.map(([, same]) => same))
      return answersOf(arrivals, await db.query(sql['store-events'], params))
    },
  })
  return (delivery, nowMs) => keep({ delivery, nowMs })
}
