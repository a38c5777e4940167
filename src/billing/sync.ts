import type Stripe from 'stripe'
import type { Clock } from '../kernel/clock.ts'
import { STRIPE_EVENTS_KEPT_MS, STRIPE_SYNC_EVENTS_MAX } from '../kernel/limits-outside.ts'
import { readEvent } from './event.ts'
import type { Inbox } from './inbox.ts'
import { whyIgnored } from './webhook.ts'

export interface SyncReport {
  /** Events that Stripe has of that time. */
  readonly seen: number
  /** Of those, the ones that had never arrived. */
  readonly added: number
  /** There were more than one sync takes: sync again with this as its end. null = all seen. */
  readonly moreBeforeMs: number | null
}

/**
 * Fetches Stripe's events since `sinceMs` (at most 30 days back, which is what Stripe keeps),
 * newest first, and puts those that never arrived into the inbox. `untilMs` null = to the newest.
 * Both are Unix ms, and the seconds they are in count. Safe at any time and any number of times.
 */
export type Sync = (sinceMs: number, untilMs: number | null) => Promise<SyncReport>

export function makeSync(deps: {
  readonly stripe: Pick<Stripe, 'events'>
  readonly inbox: Pick<Inbox, 'store'>
  readonly mode: 'test' | 'live'
  readonly clock: Clock
  /** Events that one sync takes. */
  readonly max?: number
}): Sync {
  const { stripe, inbox, mode, clock, max = STRIPE_SYNC_EVENTS_MAX } = deps
  return async (sinceMs, untilMs) => {
    const from = Math.max(sinceMs, clock.now() - STRIPE_EVENTS_KEPT_MS)
    const until = untilMs === null ? {} : { lte: Math.floor(untilMs / 1000) }
    const created = { gte: Math.floor(from / 1000), ...until }
    let [seen, added] = [0, 0]
    for await (const raw of stripe.events.list({ created, limit: 100 })) {
      if (seen === max) return { seen, added, moreBeforeMs: raw.created * 1000 }
      seen += 1
      const payload = JSON.stringify(raw)
      const event = readEvent(payload)
      if (event === null) continue
      const ignored = whyIgnored(event, mode)
      const { isNew } = await inbox.store({ event, payload, source: 'sync', ignored }, clock.now())
      if (isNew) added += 1
    }
    return { seen, added, moreBeforeMs: null }
  }
}
