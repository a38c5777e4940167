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
  /** There were more than one sync takes: sync again from here (Unix ms). null = all seen. */
  readonly moreBeforeMs: number | null
}

/**
 * Fetches Stripe's events since `sinceMs` (at most 30 days back, which is what Stripe keeps) and
 * puts those that never arrived into the inbox. Safe at any time and any number of times.
 */
export type Sync = (sinceMs: number) => Promise<SyncReport>

export function makeSync(deps: {
  readonly stripe: Pick<Stripe, 'events'>
  readonly inbox: Pick<Inbox, 'store'>
  readonly mode: 'test' | 'live'
  readonly clock: Clock
}): Sync {
  const { stripe, inbox, mode, clock } = deps
  return async (sinceMs) => {
    const from = Math.max(sinceMs, clock.now() - STRIPE_EVENTS_KEPT_MS)
    const created = { gte: Math.floor(from / 1000) }
    let [seen, added] = [0, 0]
    for await (const raw of stripe.events.list({ created, limit: 100 })) {
      if (seen === STRIPE_SYNC_EVENTS_MAX) return { seen, added, moreBeforeMs: raw.created * 1000 }
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
