import type Stripe from 'stripe'
import type { Clock } from '../kernel/clock.ts'
import {
  STRIPE_EVENTS_KEPT_MS,
  STRIPE_EVENTS_SURE_MS,
  STRIPE_GROUP_EVENTS_MAX,
  STRIPE_SYNC_LISTED_MAX,
} from '../kernel/limits/stripe.ts'
import { readEvent } from './event.ts'
import { THIN_EVENTS } from './handled-events.ts'
import type { Inbox } from './inbox.ts'
import { eventOf, objectLists, type ObjectList } from './sync-objects.ts'
import { whyIgnored } from './webhook.ts'

export interface Fetched {
  /** What Stripe has of that time. */
  readonly seen: number
  /** Of those, what the inbox did not have. */
  readonly added: number
}

export interface SyncReport extends Fetched {
  /** Objects of the time that Stripe has no events of any more, listed themselves. */
  readonly objects: Fetched
  /** There was more than one sync takes: sync again with this as its end. null = all seen. */
  readonly moreBeforeMs: number | null
}

/**
 * Fetches what was never delivered since `sinceMs` into the inbox, newest first: Stripe's events,
 * thin ones too, which it keeps for 30 days, and of the time before that the objects themselves,
 * those included that were made earlier and may have changed since. `untilMs` null = to the newest.
 * Both are Unix ms, and the seconds they are in count. Safe at any time and any number of times.
 * Source: design §7 (events list, then objects).
 */
export type Sync = (sinceMs: number, untilMs: number | null) => Promise<SyncReport>

export interface SyncDeps {
  readonly stripe: Parameters<typeof objectLists>[0] & Pick<Stripe, 'events' | 'v2'>
  readonly inbox: Pick<Inbox, 'store'>
  readonly mode: 'test' | 'live'
  readonly clock: Clock
  /** Of each list, what one sync takes. */
  readonly max?: number
}

interface Walked extends Fetched {
  readonly moreBeforeMs: number | null
}

interface Item {
  readonly created: number
  readonly payload: string
}

const secondsOf = (ms: number): number => Math.floor(ms / 1000)

/** Puts the first of a list into the inbox, some at a time: many are stored with one commit. */
async function take(deps: SyncDeps, items: AsyncIterable<Item>): Promise<Walked> {
  const { inbox, mode, clock, max = STRIPE_SYNC_LISTED_MAX } = deps
  let [seen, added] = [0, 0]
  let some: Promise<boolean>[] = []

  async function store(payload: string): Promise<boolean> {
    const event = readEvent(payload)
    if (event === null) return false
    const ignored = whyIgnored(event, mode)
    const kept = await inbox.store({ event, payload, source: 'sync', ignored }, clock.now())
    return kept.isNew
  }
  async function settle(): Promise<void> {
    const stored = await Promise.all(some)
    added += stored.filter((isNew) => isNew).length
    some = []
  }

  for await (const { created, payload } of items) {
    if (seen === max) {
      await settle()
      return { seen, added, moreBeforeMs: created * 1000 }
    }
    seen += 1
    some.push(store(payload))
    if (some.length === STRIPE_GROUP_EVENTS_MAX) await settle()
  }
  await settle()
  return { seen, added, moreBeforeMs: null }
}

async function* eventsOf(
  { stripe }: SyncDeps,
  created: { readonly gte: number; readonly lte?: number },
): AsyncGenerator<Item> {
  for await (const raw of stripe.events.list({ created, limit: 100 })) {
    yield { created: raw.created, payload: JSON.stringify(raw) }
  }
}

/** What exists as thin events only. */
async function* thinEventsOf(
  { stripe }: SyncDeps,
  created: { readonly gte: number; readonly lte?: number },
): AsyncGenerator<Item> {
  const params = { created, types: [...THIN_EVENTS], limit: 100 }
  for await (const raw of stripe.v2.core.events.list(params)) {
    yield { created: secondsOf(Date.parse(raw.created)), payload: JSON.stringify(raw) }
  }
}

/** Events of both kinds, of the time that Stripe has them of. */
async function syncEvents(
  deps: SyncDeps,
  fromMs: number,
  untilMs: number | null,
): Promise<readonly Walked[]> {
  if (untilMs !== null && untilMs < fromMs) return []
  const until = untilMs === null ? {} : { lte: secondsOf(untilMs) }
  const range = { gte: secondsOf(fromMs), ...until }
  return [await take(deps, eventsOf(deps, range)), await take(deps, thinEventsOf(deps, range))]
}

/** Objects of the time that Stripe has no events of any more. */
async function syncObjects(
  deps: SyncDeps,
  sinceMs: number,
  untilMs: number,
): Promise<readonly Walked[]> {
  const walked: Walked[] = []
  for (const list of objectLists(deps.stripe)) {
    walked.push(await take(deps, objectsOf(deps, list, sinceMs, untilMs)))
  }
  return walked
}

const sumOf = (walked: readonly Walked[]): Fetched => ({
  seen: walked.reduce((sum, { seen }) => sum + seen, 0),
  added: walked.reduce((sum, { added }) => sum + added, 0),
})

async function* objectsOf(
  { mode }: SyncDeps,
  of: ObjectList,
  sinceMs: number,
  untilMs: number,
): AsyncGenerator<Item> {
  const { type, changesMs } = of
  const from = changesMs === null ? {} : { gte: secondsOf(sinceMs - changesMs) }
  const params = { limit: 100, created: { ...from, lte: secondsOf(untilMs) } }
  for await (const one of of.list(params)) {
    if (one.endedAt !== null && one.endedAt < secondsOf(sinceMs)) continue
    yield { created: one.created, payload: eventOf(type, one, mode === 'live') }
  }
}

export function makeSync(deps: SyncDeps): Sync {
  return async (sinceMs, untilMs) => {
    const nowMs = deps.clock.now()
    const fromMs = Math.max(sinceMs, nowMs - STRIPE_EVENTS_KEPT_MS)
    const sureMs = nowMs - STRIPE_EVENTS_SURE_MS
    const events = await syncEvents(deps, fromMs, untilMs)
    const isOld = sinceMs < sureMs
    const objects = isOld
      ? await syncObjects(deps, sinceMs, Math.min(untilMs ?? sureMs, sureMs))
      : []
    const bounds = [...events, ...objects].flatMap(({ moreBeforeMs }) => moreBeforeMs ?? [])
    const moreBeforeMs = bounds.length === 0 ? null : Math.max(...bounds)
    return { ...sumOf(events), objects: sumOf(objects), moreBeforeMs }
  }
}
