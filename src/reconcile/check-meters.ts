import { z } from 'zod'
import { sleep, type Clock } from '../kernel/clock.ts'
import { RECONCILE_METERS_MS, RECONCILE_PAUSE_MS } from '../kernel/limits/books.ts'
import type { ComparedHour } from '../reporting/compare.ts'
import type { Reporting } from '../reporting/reporting.ts'
import type { Check } from './check.ts'
import type { Drift } from './drift.ts'

export interface MeterCheckDeps {
  readonly clock: Clock
  readonly meters: Pick<Reporting, 'comparePairs'>
  /** Pause between two customers; absent = as live accounts allow. */
  readonly pauseMs?: number
}

/** The overage that a difference of units stands for; null = it is not about credits. */
function atStake({ owed, overageMicros }: ComparedHour, units: number): number | null {
  if (owed <= 0 || overageMicros <= 0) return null
  const exact = (BigInt(overageMicros) * BigInt(units) + BigInt(owed) - 1n) / BigInt(owed)
  const micros = Number(exact)
  return Number.isSafeInteger(micros) ? micros : null
}

/** I6 for one hour of a customer and meter. Pure. null = both sides say the same. */
export function judgeHour(one: ComparedHour): Drift | null {
  const { accountId, customerId, eventName, startMs, owed, accepted, stripe, isMoving } = one
  const hour = new Date(startMs).toISOString()
  const evidence = {
    ...{ account_id: accountId, customer: customerId, event_name: eventName, hour },
    ...{ owed, accepted, stripe, created_ms: startMs },
  }
  if (stripe === null) {
    return {
      ...{ kind: 'meter_not_there', severity: 'review', direction: 'unpaid_but_active' },
      ...{ subject: `${eventName} ${customerId}`, evidence, repair: null },
      atStakeMicros: atStake(one, owed),
    }
  }
  if (isMoving || stripe === accepted) return null
  const units = Math.abs(stripe - accepted)
  // More than is owed will be billed: that hurts a customer, and cannot wait for a review.
  const severity = stripe > Math.max(owed, accepted) ? 'urgent' : 'review'
  return {
    ...{ kind: 'meter_summary_differs', severity, evidence, repair: null },
    direction: stripe < accepted ? 'unpaid_but_active' : null,
    subject: `${eventName} ${customerId} ${hour}`,
    atStakeMicros: atStake(one, units),
  }
}

const place = z.tuple([z.string(), z.string()])

/** Meter reports that Stripe accepted ↔ its event summaries (I6). Source: design §6. */
export const checkOfMeters = (deps: MeterCheckDeps): Check => ({
  name: 'meters',
  kinds: ['meter_summary_differs', 'meter_not_there'],
  isOfTime: true,
  async page(cursor, { sinceMs, untilMs }) {
    const { clock, meters, pauseMs = RECONCILE_PAUSE_MS } = deps
    const [customerId, eventName] = cursor === null ? [] : place.parse(JSON.parse(cursor))
    const after =
      customerId === undefined || eventName === undefined ? null : { customerId, eventName }
    const window = { fromMs: sinceMs, toMs: untilMs, accountId: null, eventName: null }
    const endMs = clock.monotonicMs() + RECONCILE_METERS_MS
    const drifts = new Map<string, Drift>()
    let seen = 0
    for await (const { pair, hours } of meters.comparePairs(window, after)) {
      seen += hours.length
      for (const drift of hours.map(judgeHour)) {
        if (drift !== null) drifts.set(`${drift.kind} ${drift.subject}`, drift)
      }
      await sleep(clock, pauseMs)
      if (clock.monotonicMs() > endMs) {
        const next = JSON.stringify([pair.customerId, pair.eventName])
        return { drifts: [...drifts.values()], seen, next }
      }
    }
    return { drifts: [...drifts.values()], seen, next: null }
  },
})
