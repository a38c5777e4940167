import type { Clock } from '../kernel/clock.ts'
import {
  RENEWALS_AT_ONCE_MAX,
  RENEWAL_AGAIN_LATER_MS,
  RENEWAL_AGAIN_MS,
  RENEWAL_GIVEN_UP_MS,
  RENEWAL_SOON_MS,
} from '../kernel/limits/stripe.ts'
import { describeError, type Log } from '../kernel/log.ts'
import type { Db } from '../store/db.ts'
import { textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { Effects } from './effects/effects.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['take-renewals'])

/**
 * Reads subscriptions again whose paid period has passed and of whose next one no event came: a
 * lost delivery must not cut off who paid. It is a look like any event's, so access goes on only by
 * what Stripe says; where Stripe does not answer the period and its slack end as ever. One process
 * takes each. Answers how many were taken. Source: design §7.
 */
export function makeRenewals(deps: {
  readonly db: Db
  readonly effects: Effects
  readonly clock: Clock
  readonly log: Log
}): () => Promise<number> {
  const { db, effects, clock, log } = deps
  return async () => {
    const nowMs = clock.now()
    const taken = await db.query(sql['take-renewals'], [
      new Date(nowMs),
      new Date(nowMs - RENEWAL_GIVEN_UP_MS),
      new Date(nowMs - RENEWAL_SOON_MS),
      RENEWALS_AT_ONCE_MAX,
      new Date(nowMs + RENEWAL_AGAIN_MS),
      new Date(nowMs + RENEWAL_AGAIN_LATER_MS),
    ])
    for (const row of taken) {
      const id = textOf(row, 'id')
      await effects
        .look({ kind: 'subscription', id }, () => Promise.resolve())
        .catch((error: unknown) => {
          const fields = { subscription: id, error: describeError(error) }
          log.warn(fields, 'its period has passed, and Stripe does not say what is')
        })
    }
    return taken.length
  }
}
