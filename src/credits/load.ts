import { sleep, type Clock } from '../kernel/clock.ts'
import * as limits from '../kernel/limits/holds.ts'
import { describeError, type Log } from '../kernel/log.ts'
import type { PostingLedger } from '../ledger/ledger.ts'
import type { CreditEngine, LoadReply } from './commands.ts'
import { dayOf } from '../ledger/periods.ts'

export type LoadReason = 'missing' | 'changed' | 'drift'

/**
 * loaded: what Postgres says is in the engine. unknown: Postgres has no such account or key.
 * failed: a store did not answer.
 */
export type Loaded = 'loaded' | 'unknown' | 'failed'

/** The only way state enters the credit engine from Postgres. Source: design §4 (load). */
export interface Loads {
  account(accountId: string, reason: LoadReason): Promise<Loaded>
  key(accountId: string, keyId: string, reason: LoadReason): Promise<Loaded>
}

export interface LoadsDeps {
  readonly engine: Pick<CreditEngine, 'beginAccount' | 'loadAccount' | 'beginKey' | 'loadKey'>
  readonly ledger: Pick<PostingLedger, 'snapshotAccount' | 'snapshotKey'>
  readonly clock: Clock
  readonly log: Log
  readonly onLoad: (what: 'account' | 'key', reason: LoadReason) => void
}

/** One under way and one that follows it: who asks meanwhile must not get an older snapshot. */
interface Flight {
  readonly current: Promise<Loaded>
  next: Promise<Loaded> | null
}

function makeFlights(): (name: string, run: () => Promise<Loaded>) => Promise<Loaded> {
  const flights = new Map<string, Flight>()
  const start = (name: string, run: () => Promise<Loaded>): Promise<Loaded> => {
    const current = run().finally(() => {
      if (flights.get(name)?.next === null) flights.delete(name)
    })
    flights.set(name, { current, next: null })
    return current
  }
  return (name, run) => {
    const flight = flights.get(name)
    if (flight === undefined) return start(name, run)
    flight.next ??= flight.current.then(() => start(name, run))
    return flight.next
  }
}

export function makeLoads(deps: LoadsDeps): Loads {
  const { engine, ledger, clock, log } = deps
  const share = makeFlights()

  /** begin → snapshot → load, from the start again while it is refused or unanswered. */
  async function repeat(
    what: 'account' | 'key',
    reason: LoadReason,
    once: () => Promise<LoadReply | null>,
  ): Promise<Loaded> {
    let waitMs = limits.LOAD_RETRY_WAIT_MS
    let [refused, unanswered] = [0, 0]
    for (;;) {
      try {
        const reply = await once()
        if (reply === null) return 'unknown'
        if (reply.kind === 'ok') {
          deps.onLoad(what, reason)
          return 'loaded'
        }
        refused += 1
      } catch (error) {
        unanswered += 1
        log.warn({ what, unanswered, error: describeError(error) }, 'a load got no answer')
      }
      const isHopeless = unanswered >= limits.LOAD_TRIES_MAX || refused >= limits.LOAD_REFUSALS_MAX
      if (isHopeless) return 'failed'
      await sleep(clock, waitMs)
      waitMs = Math.min(waitMs * 2, limits.LOAD_RETRY_WAIT_MS_MAX)
    }
  }

  return {
    account: (accountId, reason) =>
      share(accountId, () =>
        repeat('account', reason, async () => {
          const token = await engine.beginAccount(accountId)
          const snapshot = await ledger.snapshotAccount(accountId)
          return snapshot === null ? null : engine.loadAccount(token, snapshot)
        }),
      ),
    key: (accountId, keyId, reason) =>
      share(`${accountId} ${keyId}`, () =>
        repeat('key', reason, async () => {
          const token = await engine.beginKey(accountId, keyId)
          const snapshot = await ledger.snapshotKey(accountId, keyId, dayOf(token.nowMs))
          return snapshot === null ? null : engine.loadKey(token, accountId, snapshot)
        }),
      ),
  }
}
