import { sleep, type Clock } from '../kernel/clock.ts'
import { refuse, UnknownOutcomeError, type Refusal } from '../kernel/errors.ts'
import {
  COMMAND_RETRY_WAIT_MS,
  COMMAND_TRIES_MAX,
  REFUSAL_LOOKS_MAX,
  REFUSAL_LOOK_MS_MIN,
  RESERVE_MS_MAX,
  RESERVE_ROUNDS_MAX,
  RESERVE_VALID_MS,
} from '../kernel/limits/holds.ts'
import { FIT_SHARES } from '../kernel/limits/models.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { formatCredits } from '../kernel/money.ts'
import type { Changes } from './changes.ts'
import type { CreditEngine, Reserve, ReserveReply } from './commands.ts'
import type { EngineTime } from './engine-time.ts'
import type { HoldRequest } from './holds.ts'
import type { Loaded, Loads } from './load.ts'

export interface ReservingDeps {
  readonly engine: Pick<CreditEngine, 'reserve' | 'release'>
  readonly loads: Loads
  readonly changes: Changes
  readonly time: EngineTime
  readonly clock: Clock
  readonly log: Log
  readonly owner: string
  readonly leaseMs: number
}

type Granted = Extract<ReserveReply, { kind: 'ok' }>

export interface Reserved {
  readonly ok: true
  readonly reply: Granted
  /** Monotonic time before the command that held was sent. */
  readonly issuedMs: number
}

export type Reserving = (request: HoldRequest) => Promise<Reserved | Refusal>

const AWAY = refuse('gateway_unavailable', 'Credits cannot be checked right now. Try again.')
const UNKNOWN_KEY = refuse('invalid_api_key', 'Invalid API key.')

export const refuseBlocked = (status: 'frozen' | 'suspended'): Refusal =>
  refuse('account_frozen', `This account is ${status}. Contact its operator.`)

/** What a reply that is not a hold says to the caller. */
function refusalOf(reply: Exclude<ReserveReply, Granted>): Refusal {
  switch (reply.kind) {
    case 'insufficient':
      return refuse(
        'insufficient_quota',
        `Out of credits: ${formatCredits(reply.availableMicros)} left, this request needs more. ` +
          'Add credits, or set a lower output limit.',
      )
    case 'held':
      return refuse(
        'credits_held',
        'Enough credits, but requests in flight hold them. Try again when one has ended.',
      )
    case 'budget':
      return refuse(
        'budget_exceeded',
        `This key's budget is used up: ${formatCredits(reply.leftMicros)} credits left of it.`,
      )
    case 'rate':
      return refuse(
        'rate_limit_exceeded',
        `This ${reply.of}'s limit on ${reply.limit} is reached.`,
        {
          retryAfterMs: reply.retryAfterMs,
          ...(reply.limit === 'tokens' && { isOfSize: true }),
        },
      )
    case 'account_blocked':
      return refuseBlocked(reply.status)
    case 'key_invalid':
      return UNKNOWN_KEY
    case 'too_late':
    case 'stale':
      return AWAY
  }
}

/** Whether Postgres may be asked again after a 402: at most once a while for one account. */
function makeLooks(clock: Clock): (accountId: string) => boolean {
  const looked = new Map<string, number>()
  return (accountId) => {
    const nowMs = clock.monotonicMs()
    if (nowMs - (looked.get(accountId) ?? -Infinity) < REFUSAL_LOOK_MS_MIN) return false
    looked.delete(accountId)
    const oldest = looked.keys().next().value
    if (looked.size >= REFUSAL_LOOKS_MAX && oldest !== undefined) looked.delete(oldest)
    looked.set(accountId, nowMs)
    return true
  }
}

function commandOf(deps: ReservingDeps, request: HoldRequest, nowMs: number): Reserve {
  const { draft } = request
  return {
    accountId: draft.accountId,
    keyId: draft.keyId,
    holdId: draft.holdId,
    wantMicros: request.wantMicros,
    leastMicros: request.leastMicros,
    tokens: request.tokens,
    keySeq: request.keySeq,
    fitShares: FIT_SHARES,
    leaseMs: request.leaseMs ?? deps.leaseMs,
    notAfterMs: Math.floor(nowMs + RESERVE_VALID_MS),
    owner: deps.owner,
  }
}

/** Loads what the reply misses. null = loaded, else why not. */
async function load(
  { loads }: ReservingDeps,
  { draft: { accountId, keyId } }: HoldRequest,
  what: 'account' | 'key',
): Promise<Refusal | null> {
  const loaded: Loaded =
    what === 'account'
      ? await loads.account(accountId, 'missing')
      : await loads.key(accountId, keyId, 'missing')
  if (loaded === 'loaded') return null
  return loaded === 'unknown' ? UNKNOWN_KEY : AWAY
}

/** The answer, or UnknownOutcomeError after `ms`. */
async function within<T>(clock: Clock, ms: number, answer: Promise<T>): Promise<T> {
  let cancel = (): void => undefined
  const late = new Promise<never>((_resolve, reject) => {
    cancel = clock.after(ms, () => {
      reject(new UnknownOutcomeError('no answer to a reserve in time'))
    })
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    cancel()
  }
}

/** One try. */
interface Try {
  /** Monotonic time before the command was sent: its lease is at least as young. */
  readonly startedMs: number
  readonly command: Promise<ReserveReply>
}

function begin(deps: ReservingDeps, request: HoldRequest): Try {
  const { clock, time, engine } = deps
  const startedMs = clock.monotonicMs()
  const issue = (nowMs: number): Promise<ReserveReply> =>
    engine.reserve(commandOf(deps, request, nowMs))
  const knownMs = time.known()
  return { startedMs, command: knownMs === null ? time.now().then(issue) : issue(knownMs) }
}

/** Releases what a try may have held, behind all tries; the client does not wait for it. */
async function releaseAfter(
  { engine, log }: ReservingDeps,
  { draft }: HoldRequest,
  tries: readonly Promise<unknown>[],
): Promise<void> {
  await Promise.allSettled(tries)
  await engine.release(draft).catch((error: unknown) => {
    const fields = { request_id: draft.holdId, error: describeError(error) }
    log.warn(fields, 'release got no answer; its lease will end it')
  })
}

/** What came of a try in the end; null = try again. */
type Conclude = (
  request: HoldRequest,
  tried: Try,
  leftMs: number,
) => Promise<Reserved | Refusal | null>

/** From a first try that did not hold, until there is an answer. */
async function goOn(
  deps: ReservingDeps,
  request: HoldRequest,
  first: Try,
  conclude: Conclude,
): Promise<Reserved | Refusal> {
  const { clock, log } = deps
  let unanswered = 0
  let leftMs = RESERVE_MS_MAX
  let tried = first
  const tries: Promise<unknown>[] = [first.command]
  // Loads may alternate: account, key, changes, each at most a few times.
  for (let round = 1; ; round++) {
    try {
      const result = await conclude(request, tried, leftMs)
      // A refusal after an unanswered try: that one may have held, or may yet.
      if (result !== null && !result.ok && unanswered > 0) break
      if (result !== null) return result
    } catch (error) {
      unanswered += 1
      const { holdId } = request.draft
      log.warn({ request_id: holdId, error: describeError(error) }, 'reserve got no answer')
      if (unanswered < COMMAND_TRIES_MAX) await sleep(clock, COMMAND_RETRY_WAIT_MS * unanswered)
      leftMs -= clock.monotonicMs() - tried.startedMs
      if (leftMs <= 0) break
    }
    if (round >= RESERVE_ROUNDS_MAX || unanswered >= COMMAND_TRIES_MAX) break
    tried = begin(deps, request)
    tries.push(tried.command)
  }
  if (unanswered > 0) void releaseAfter(deps, request, tries)
  return AWAY
}

/**
 * Reserves until there is an answer: unanswered commands are repeated with the same id, missing
 * state is loaded, and a refusal for want of credits first looks into Postgres. A hold that may
 * have been made without an answer is released, and its id is never used again. Source: design
 * §3–§4.
 */
export function makeReserving(deps: ReservingDeps): Reserving {
  const { clock } = deps
  const mayLook = makeLooks(clock)

  /** What to do about a reply that is not a hold: null = try again. */
  async function consider(
    request: HoldRequest,
    reply: Exclude<ReserveReply, Granted>,
  ): Promise<Refusal | null> {
    if (reply.kind === 'stale') return load(deps, request, reply.what)
    if (reply.kind === 'too_late') {
      deps.time.learn(reply.nowMs)
      return null
    }
    const wantsCredits = reply.kind === 'insufficient' || reply.kind === 'budget'
    if (wantsCredits && mayLook(request.draft.accountId)) {
      const { accountId, keyId } = request.draft
      if (await deps.changes.look(accountId, keyId).catch(() => false)) return null
    }
    return refusalOf(reply)
  }

  const granted = (reply: Granted, { startedMs }: Try): Reserved => {
    deps.time.learn(reply.nowMs)
    return { ok: true, reply, issuedMs: startedMs }
  }

  const conclude: Conclude = async (request, tried, leftMs) => {
    // The first try is bounded by the command itself: the hot path needs no timer.
    const isFirst = leftMs === RESERVE_MS_MAX
    const reply = await (isFirst ? tried.command : within(clock, leftMs, tried.command))
    return reply.kind === 'ok' ? granted(reply, tried) : consider(request, reply)
  }

  return (request) => {
    const tried = begin(deps, request)
    return tried.command.then(
      (reply) =>
        reply.kind === 'ok' ? granted(reply, tried) : goOn(deps, request, tried, conclude),
      () => goOn(deps, request, tried, conclude), // looks at the same answer once more
    )
  }
}
