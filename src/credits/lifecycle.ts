import { sleep, type Clock } from '../kernel/clock.ts'
import { refuse, type Refusal } from '../kernel/errors.ts'
import { COMMAND_RETRY_WAIT_MS, COMMAND_TRIES_MAX, FIRST_PROGRESS_MS } from '../kernel/limits.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { ZERO, type Micros } from '../kernel/money.ts'
import { makeUnderWay, type UnderWay } from '../kernel/under-way.ts'
import type { PostingLedger } from '../ledger/ledger.ts'
import type { Poster } from '../ledger/poster.ts'
import type { PostItem, PostOutcome, Receipt } from '../ledger/receipt.ts'
import { makeChanges, type Changes } from './changes.ts'
import { makeClearing, type Clearing } from './clearing.ts'
import type { CreditEngine, HoldRef, Settle } from './commands.ts'
import { makeEngineTime } from './engine-time.ts'
import { finishPosted } from './finish.ts'
import type { HoldRequest, Holds, LentHold, OpenHold, SettleFinal, Settled } from './holds.ts'
import { makeLoads, type LoadReason, type Loads } from './load.ts'
import { receiptText } from './receipt-text.ts'
import { makeRecovery, type Recovery } from './recovery.ts'
import { makeRenewals, type Renewable, type Renewals } from './renewals.ts'
import { makeReserving, type Reserved } from './reserving.ts'

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
  const loads = makeLoads({ engine, ledger, time, clock, log, onLoad: deps.on.loaded })
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
      return makeOpenHold(parts, hold, reserved.reply.availableMicros)
    })

  return {
    holds: {
      open,
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
    adopt: (lent) => makeOpenHold(parts, adoptedOf(lent), ZERO),
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
    ...{ ended: false, lost: false, renewing: null },
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
  }
}

interface Parts extends CreditsDeps {
  readonly loads: Loads
  readonly clearing: Clearing
  readonly renewals: Renewals
  readonly finishing: UnderWay
  readonly confirming: UnderWay
}

function makeOpenHold(parts: Parts, hold: Renewable, availableMicros: Micros): OpenHold {
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
    availableMicros,
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
    async release() {
      end()
      if (settled !== null || released !== null) isSecond('released')
      if (settled === null) released ??= releaseRenewed(parts, hold)
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

async function releaseRenewed(parts: Parts, hold: Renewable): Promise<boolean> {
  await hold.renewing // one that came after the release would put the hold back
  return release(parts, hold.ref)
}

/** Settles and queues the receipt. A settle that was not confirmed is posted as unbacked. */
async function settle(parts: Parts, hold: Renewable, final: SettleFinal): Promise<Settled> {
  const { day, reservedAtMs } = hold
  const { micros, tokens } = final
  const receipt: Receipt = { ...final.draft, rev: 2, micros, day, reservedAtMs }
  const command = { ...hold.ref, micros, rev: receipt.rev, tokens, receipt: receiptText(receipt) }
  parts.confirming.begin()
  const backed = await confirm(parts, command)
  parts.confirming.end()
  const item: PostItem = { receipt, unbacked: backed === null, answer: final.answer }
  const ticket = parts.poster.submit(item)
  void finish(parts, item, ticket.outcome)
  return {
    availableMicros: backed,
    posted: parts.durability === 'settled' ? Promise.resolve('posted') : ticket.wait(),
  }
}

/** Clears what was posted. Never rejects. */
async function finish(parts: Parts, item: PostItem, posted: Promise<PostOutcome>): Promise<void> {
  parts.finishing.begin()
  try {
    await finishPosted(parts, item, await posted, false)
  } catch (error) {
    const fields = { request_id: item.receipt.holdId, error: describeError(error) }
    parts.log.error(fields, 'a posted hold was not cleared; recovery will')
  }
  parts.finishing.end()
}

/**
 * Available credits after the settle; null = gone, late, or no answer: post it all the same. Never
 * rejects.
 */
async function confirm(
  { engine, loads, clock, log }: Parts,
  command: Settle,
): Promise<Micros | null> {
  for (let round = 1; round <= COMMAND_TRIES_MAX; round++) {
    try {
      const reply = await engine.settle(command)
      if (reply.kind === 'ok') return reply.availableMicros
      if (reply.kind !== 'stale') return null
      if (reply.what === 'account') await loads.account(command.accountId, 'missing')
      else await loads.key(command.accountId, command.keyId, 'missing')
    } catch (error) {
      const fields = { request_id: command.holdId, round, error: describeError(error) }
      log.warn(fields, 'settle got no answer')
      if (round < COMMAND_TRIES_MAX) await sleep(clock, COMMAND_RETRY_WAIT_MS * round)
    }
  }
  return null
}

/** Releases, or leaves it to the lease (false). */
async function release(parts: Parts, ref: HoldRef): Promise<boolean> {
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
