import type { Clock } from '../kernel/clock.ts'
import { refuse, type Refusal } from '../kernel/errors.ts'
import { COMMAND_TRIES_MAX, FIRST_PROGRESS_MS } from '../kernel/limits/holds.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { makeUnderWay } from '../kernel/under-way.ts'
import type { PostingLedger } from '../ledger/ledger.ts'
import type { Poster } from '../ledger/poster.ts'
import { makeChanges, type Changes } from './changes.ts'
import { makeClearing, type Clearing } from './clearing.ts'
import type { CreditEngine, Release } from './commands.ts'
import { makeEngineTime } from './engine-time.ts'
import type { HoldRequest, Holds, LentHold, OpenHold, Settled } from './holds.ts'
import { makeLoads, type LoadReason, type Loads } from './load.ts'
import { makeRecovery, type Recovery } from './recovery.ts'
import { makeRenewals, type Renewable, type Renewals } from './renewals.ts'
import { makeReserving, refuseBlocked, type Reserved } from './reserving.ts'
import { settle, type SettlingParts } from './settling.ts'

export interface CreditsDeps {
  readonly engine: CreditEngine
  readonly ledger: PostingLedger
  readonly poster: Poster
  readonly clock: Clock
  readonly log: Log
  /** Names this process in its holds. */
  readonly owner: string
  readonly leaseMs: number
  /** posted: an answer completes when its charge is in Postgres. Source: design §2.9. */
  readonly durability: 'posted' | 'settled'
  readonly on: {
    readonly loaded: (what: 'account' | 'key', reason: LoadReason) => void
    readonly recovered: (result: 'posted' | 'released') => void
  }
}

/** The credit side of one process. The rounds are for its owner to repeat. */
export interface Credits {
  readonly holds: Holds
  readonly loads: Loads
  readonly changes: Changes
  readonly renewals: Renewals
  readonly recovery: Recovery
  readonly clearing: Clearing
  /** Reserves a hold that nobody renews by itself: any process may go on with it. */
  lend(request: HoldRequest): Promise<Reserved | Refusal>
  /** Goes on with a lent hold, to settle or release it. */
  adopt(lent: LentHold): Pick<OpenHold, 'settle' | 'release'>
  /** Resolves when no settle is under way: each has queued its receipt. */
  confirmed(): Promise<void>
  /** Resolves when everything that was posted is cleared as well. */
  settledAll(): Promise<void>
}

const FULL = refuse('gateway_unavailable', 'Charges cannot be written right now. Try again.')

/** Wires the life of a hold: reserve, renew, settle, post, clear, recover. Source: design §3. */
export function makeCredits(deps: CreditsDeps): Credits {
  const { engine, ledger, clock, log, leaseMs, owner } = deps
  const time = makeEngineTime(engine, clock)
  const loads = makeLoads({ engine, ledger, clock, log, onLoad: deps.on.loaded })
  const changes = makeChanges({ engine, ledger, loads, clock })
  const clearing = makeClearing({ engine, loads, clock, log })
  const retryMs = Math.min(1_000, leaseMs / 10)
  const renewals = makeRenewals({ engine, loads, clock, log, owner, leaseMs, retryMs })
  const recovery = makeRecovery({
    ...deps,
    loads,
    clearing,
    renewalMs: leaseMs / 3,
    onRecovered: deps.on.recovered,
  })
  const reserve = makeReserving({ engine, loads, changes, time, clock, log, owner, leaseMs })
  const finishing = makeUnderWay()
  const confirming = makeUnderWay()
  const parts: Parts = { ...deps, loads, clearing, renewals, finishing, confirming }

  const lend = (request: HoldRequest): Promise<Reserved | Refusal> =>
    deps.poster.full ? Promise.resolve(FULL) : reserve(request)

  const open = (request: HoldRequest): Promise<OpenHold | Refusal> =>
    lend(request).then((reserved) => {
      if (!reserved.ok) return reserved
      const hold = renewableOf(request, reserved, leaseMs)
      renewals.add(hold)
      return makeOpenHold(parts, hold)
    })

  return {
    holds: {
      open,
      blocked: (accountId) =>
        engine.viewAccount(accountId).then(
          (view) => (view === null || view.status === 'active' ? null : refuseBlocked(view.status)),
          () => null,
        ),
      get openCount() {
        return renewals.count
      },
    },
    loads,
    changes,
    renewals,
    recovery,
    clearing,
    lend,
    adopt: (lent) => makeOpenHold(parts, adoptedOf(lent)),
    confirmed: () => confirming.over(),
    async settledAll() {
      await finishing.over()
      await clearing.flush()
    },
  }
}

function adoptedOf({ draft, micros, day, reservedAtMs }: LentHold): Renewable {
  const { accountId, keyId, holdId } = draft
  return {
    ref: { accountId, keyId, holdId },
    ...{ micros, day, reservedAtMs, draft },
    tokens: 0,
    readProgress: null,
    dueMs: Infinity,
    leasedMs: 0,
    ...{ ended: false, lost: false, renewing: null, place: null },
  }
}

function renewableOf(request: HoldRequest, reserved: Reserved, leaseMs: number): Renewable {
  const { reply, issuedMs } = reserved
  const { accountId, keyId, holdId } = request.draft
  return {
    ref: { accountId, keyId, holdId },
    micros: reply.micros,
    day: reply.day,
    reservedAtMs: reply.reservedAtMs,
    tokens: request.tokens,
    draft: request.draft,
    readProgress: null,
    dueMs: issuedMs + leaseMs / 3,
    leasedMs: issuedMs,
    ended: false,
    lost: false,
    renewing: null,
    place: null,
  }
}

interface Parts extends CreditsDeps, SettlingParts {
  readonly renewals: Renewals
}

function makeOpenHold(parts: Parts, hold: Renewable): OpenHold {
  const { clock, renewals, leaseMs } = parts
  const end = (): void => {
    hold.ended = true
    renewals.remove(hold)
  }
  let settled: Promise<Settled> | null = null
  let released: Promise<boolean> | null = null
  const isSecond = (how: string): void => {
    parts.log.error({ request_id: hold.ref.holdId }, `a hold that had ended was ${how}`)
  }
  return {
    ok: true,
    micros: hold.micros,
    day: hold.day,
    reservedAtMs: hold.reservedAtMs,
    ensureFresh() {
      const isFresh = (): boolean => clock.monotonicMs() - hold.leasedMs <= leaseMs / 2
      if (!hold.lost && isFresh()) return true
      return freshened(parts, hold, isFresh)
    },
    watch(read) {
      hold.readProgress = read
      hold.dueMs = Math.min(hold.dueMs, clock.monotonicMs() + FIRST_PROGRESS_MS)
    },
    settle(final) {
      end()
      if (settled !== null || released !== null) isSecond('settled')
      // What was used is charged, also after a release; once.
      return (settled ??= settle(parts, hold, final))
    },
    async release(isUncounted = false) {
      end()
      if (settled !== null || released !== null) isSecond('released')
      if (settled === null) released ??= releaseRenewed(parts, hold, isUncounted)
      return released ?? false
    },
    async handOver() {
      end()
      await hold.renewing // it would set a shorter lease
    },
  }
}

async function freshened(
  { renewals }: Parts,
  hold: Renewable,
  isFresh: () => boolean,
): Promise<boolean> {
  // The first renewal may be one that was under way: sent before this process was frozen.
  for (let round = 0; round < 2 && !hold.lost && !isFresh(); round++) {
    await renewals.renew(hold)
  }
  return !hold.lost && isFresh()
}

async function releaseRenewed(
  parts: Parts,
  hold: Renewable,
  isUncounted: boolean,
): Promise<boolean> {
  await hold.renewing // one that came after the release would put the hold back
  return release(parts, { ...hold.ref, isUncounted })
}

/** Releases, or leaves it to the lease (false). */
async function release(parts: Parts, ref: Release): Promise<boolean> {
  const { engine, loads, log } = parts
  for (let round = 1; round <= COMMAND_TRIES_MAX; round++) {
    try {
      const reply = await engine.release(ref)
      if (reply.kind === 'ok') return true
      if (reply.what === 'account') await loads.account(ref.accountId, 'missing')
      else await loads.key(ref.accountId, ref.keyId, 'missing')
    } catch (error) {
      const fields = { request_id: ref.holdId, round, error: describeError(error) }
      log.warn(fields, 'release got no answer; its lease will end it')
      return false
    }
  }
  return false
}
