import type { Clock } from '../kernel/clock.ts'
import {
  STRIPE_EVENTS_AT_ONCE_MAX,
  STRIPE_EVENT_RETRY_MS_MAX,
  STRIPE_EVENT_RETRY_MS_MIN,
  STRIPE_EVENT_TRIES_MAX,
} from '../kernel/limits/stripe.ts'
import { PastCountError } from '../kernel/invariant.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { backoffMs, makeWorkPool, type WorkPool } from '../kernel/work-pool.ts'
import type { Tx } from '../store/db.ts'
import type { Findings } from './findings.ts'
import type { BillingHooks } from './hooks.ts'
import type { ClaimedEvent, Inbox } from './inbox.ts'

/**
 * Works out what an event means and writes it. `finish` is called in the same transaction with a
 * line that says what became of it; where it throws nothing is written.
 */
export type Effect = (
  event: ClaimedEvent,
  finish: (tx: Tx, outcome: string) => Promise<void>,
) => Promise<void>

export interface WorkerDeps {
  readonly inbox: Inbox
  readonly effect: Effect
  readonly findings: Findings
  readonly hooks: Pick<BillingHooks, 'processed'>
  readonly clock: Clock
  /** Even in [0, 1). */
  readonly random: () => number
  readonly log: Log
}

/** Another worker has taken the event over meanwhile. */
class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError'
}

/** No try came to an end, be it good or bad: the work kills the process, or outlasts its lease. */
class NeverEndedError extends Error {
  override readonly name = 'NeverEndedError'
  constructor() {
    super(`no end after ${STRIPE_EVENT_TRIES_MAX} tries`)
  }
}

/** Pause after `attempts` failed tries, ms. */
const retryMs = (attempts: number, random: number): number =>
  backoffMs(attempts, random, {
    minMs: STRIPE_EVENT_RETRY_MS_MIN,
    maxMs: STRIPE_EVENT_RETRY_MS_MAX,
  })

/** From its arrival, ms; null = it is not to be measured. */
const durationOf = ({ isByHand, receivedAtMs }: ClaimedEvent, nowMs: number): number | null =>
  isByHand ? null : nowMs - receivedAtMs

function makeOne(deps: WorkerDeps) {
  const { inbox, effect, findings, hooks, clock, log } = deps

  async function failed(event: ClaimedEvent, error: unknown): Promise<void> {
    const why = describeError(error)
    const isDead = event.attempts >= STRIPE_EVENT_TRIES_MAX || error instanceof PastCountError
    const nowMs = clock.now()
    const fields = { event_id: event.id, type: event.type, attempts: event.attempts, error: why }
    log[isDead ? 'error' : 'warn'](fields, isDead ? 'event given up' : 'event failed')
    const again = isDead ? null : nowMs + retryMs(event.attempts, deps.random())
    await inbox.fail(event, why, again, nowMs)
    if (isDead) {
      const evidence = { type: event.type, object_id: event.objectId, error: why }
      await findings.note({
        kind: 'stripe_event_dead',
        severity: 'urgent',
        subject: event.id,
        evidence,
      })
    }
    hooks.processed(isDead ? 'dead' : 'failed', durationOf(event, nowMs))
  }

  /** Never rejects: what cannot even be noted is tried again when its lease ends. */
  return async function work(event: ClaimedEvent): Promise<void> {
    try {
      // Tries that ended with their process or their lease noted nothing, and count all the same.
      if (event.attempts > STRIPE_EVENT_TRIES_MAX) throw new NeverEndedError()
      await effect(event, async (tx, outcome) => {
        if (!(await inbox.finish(tx, event, outcome, clock.now()))) throw new LeaseLostError()
      })
      hooks.processed('done', durationOf(event, clock.now()))
    } catch (error) {
      if (error instanceof LeaseLostError) return
      await failed(event, error).catch((fault: unknown) => {
        log.error({ event_id: event.id, error: describeError(fault) }, 'event left to its lease')
      })
    }
  }
}

/**
 * Works the inbox off, STRIPE_EVENTS_AT_ONCE_MAX at a time: an event that hangs or fails keeps one
 * place or none, and the others go on. Source: design §7.
 */
export function makeInboxWorker(deps: WorkerDeps): WorkPool {
  const { inbox, clock } = deps
  return makeWorkPool({
    max: STRIPE_EVENTS_AT_ONCE_MAX,
    claim: (room) => inbox.claim(clock.now(), room),
    work: makeOne(deps),
  })
}
