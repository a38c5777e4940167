import type { CreditEngine } from '../../credits/commands.ts'
import type { Credits } from '../../credits/lifecycle.ts'
import type { ReceiptDraft } from '../../credits/holds.ts'
import { sleep, type Clock } from '../../kernel/clock.ts'
import { isRefusal, refuse, UnknownOutcomeError, type Refusal } from '../../kernel/errors.ts'
import type { Ids } from '../../kernel/ids.ts'
import {
  WORK_DROP_MAX,
  WORK_ENDINGS_MAX,
  WORK_ENDING_MS,
  WORK_KEPT_MS,
  WORK_TWIN_PAUSE_MS_MAX,
} from '../../kernel/limits/access.ts'
import { describeError, type Log } from '../../kernel/log.ts'
import type { Caller } from '../access.ts'
import { allowsEndpoint, allowsModel, refuseEndpoint, refuseModel } from '../allowed.ts'
import { priceOf, type Amount, type Priced, type WorkPrices } from './amount.ts'
import { beatOnce } from './beat.ts'
import type { WorkHold, WorkRows } from './rows.ts'

export interface OpenWork {
  readonly amount: Amount
  readonly price: { readonly upstream: string; readonly model: string } | null
  readonly ttlMs: number
  readonly metadata: Readonly<Record<string, string>>
  /** The caller's Idempotency-Key and a hash of what it asks for. */
  readonly requestKey: string | null
  readonly requestHash: string
}

/**
 * Holds of work that does not pass the proxy: authorised before, charged once after. Any process
 * takes any call: a row says whose a hold is and how it ends, the credit engine keeps what it sets
 * aside, and recovery ends what nobody renews. Source: design §3, §8.
 */
export interface Work {
  /** `created` = false: an earlier request with the same key made it. */
  open(who: Caller, request: OpenWork): Promise<{ work: WorkHold; created: boolean } | Refusal>
  read(who: Caller, id: string): Promise<WorkHold | Refusal>
  /** Prolongs it by its ttl (or a new one) and writes progress down, which never falls. */
  heartbeat(
    who: Caller,
    id: string,
    amount: Amount | null,
    ttlMs: number | null,
  ): Promise<WorkHold | Refusal>
  /** Charges it, once. The same amount again is the same answer. After its lease: marked late. */
  settle(who: Caller, id: string, amount: Amount): Promise<WorkHold | Refusal>
  /** Ends it without a charge. Again: the same answer. */
  release(who: Caller, id: string): Promise<WorkHold | Refusal>
  /** Carries out ends that were decided by a process which did not get to it. */
  finish(): Promise<void>
  /** Forgets those that ended or lapsed WORK_KEPT_MS ago. */
  forget(): Promise<void>
}

export interface WorkDeps {
  readonly rows: WorkRows
  readonly engine: CreditEngine
  readonly credits: Pick<Credits, 'loads' | 'lend' | 'adopt'>
  readonly prices: WorkPrices
  readonly clock: Clock
  readonly ids: Ids
  readonly log: Log
}

const makerOf = (who: Caller): string => (who.keyKind === 'client' ? 'client' : who.keyId)
const NONE = refuse('not_found', 'There is no such hold.')
const REUSED = refuse(
  'idempotency_key_reused',
  'This Idempotency-Key was used with another body. Use a new key for a new hold.',
)
const LAPSED = 'The hold lapsed: nothing is set aside any more. Settle it with what was done.'

/** What can still be said of a hold that is not open. */
const endedAs = (work: WorkHold): Refusal =>
  refuse('conflict', `The hold is ${work.settledMicros === null ? 'released' : 'settled'}.`)

/** Only who made it may touch it: an account's keys, or the backend key. */
const mayTouch = (who: Caller, work: WorkHold): boolean =>
  work.maker === makerOf(who) && (who.keyKind === 'backend' || work.accountId === who.accountId)

function draftOf(who: Caller, holdId: string, request: OpenWork, nowMs: number): ReceiptDraft {
  const { price } = request
  return {
    holdId,
    accountId: who.accountId,
    keyId: who.keyId,
    startedAtMs: nowMs,
    protocol: 'hold',
    endpoint: 'holds',
    upstream: price?.upstream ?? 'external',
    model: price?.model ?? 'credits',
    stream: false,
    estimated: false,
    usage: {},
    providerCostPicoUsd: '0',
    priceVersion: 'credits',
    httpStatus: null,
    firstByteMs: null,
    durationMs: null,
  }
}

function draftAt(work: WorkHold, priced: Priced, nowMs: number): ReceiptDraft {
  const { usage, providerCostPicoUsd, priceVersion } = priced
  const durationMs = Math.max(0, Math.round(nowMs - work.createdAtMs))
  return { ...work.draft, usage, providerCostPicoUsd, priceVersion, durationMs }
}

const amountAt = ({ prices }: WorkDeps, work: WorkHold, amount: Amount): Priced | Refusal =>
  priceOf(prices, { ...work, atMs: work.createdAtMs }, amount)

/** The hold that the caller's key already names, if any. */
async function earlier(
  { rows }: WorkDeps,
  who: Caller,
  { requestKey, requestHash }: OpenWork,
): Promise<{ work: WorkHold; created: boolean } | Refusal | null> {
  if (requestKey === null) return null
  const work = await rows.find(who.accountId, makerOf(who), requestKey)
  if (work === null) return null
  return work.requestHash === requestHash ? { work, created: false } : REUSED
}

/** What is wanting may be held by a request with the same key that comes to its end just now. */
async function twin(deps: WorkDeps, who: Caller, request: OpenWork, { code }: Refusal) {
  let found = await earlier(deps, who, request)
  if (request.requestKey === null || code !== 'credits_held') return found
  for (let pauseMs = 20; found === null && pauseMs <= WORK_TWIN_PAUSE_MS_MAX; pauseMs *= 2) {
    await sleep(deps.clock, pauseMs)
    found = await earlier(deps, who, request)
  }
  return found
}

function mayUse(who: Caller, { price }: OpenWork): Refusal | null {
  if (!allowsEndpoint(who, 'holds')) return refuseEndpoint(who, 'holds')
  return price === null || allowsModel(who, price.model) ? null : refuseModel(who, price.model)
}

async function open(deps: WorkDeps, who: Caller, request: OpenWork) {
  const { rows, credits, clock, ids } = deps
  const before = mayUse(who, request) ?? (await earlier(deps, who, request))
  if (before !== null) return before
  const nowMs = clock.now()
  const terms = { price: request.price, keptPrice: null, markup: who.markup, atMs: nowMs }
  const priced = priceOf(deps.prices, terms, request.amount)
  if (isRefusal(priced)) return priced
  const draft = draftOf(who, ids.uuid(), request, nowMs)
  const lent = await credits.lend({
    ...{ draft, tokens: 0, keySeq: who.keySeq, leaseMs: request.ttlMs },
    ...{ wantMicros: priced.micros, leastMicros: priced.micros },
  })
  if (!lent.ok) return (await twin(deps, who, request, lent)) ?? lent
  const { reply } = lent
  const { ttlMs, metadata, requestKey, requestHash, price } = request
  const made = { id: draft.holdId, accountId: who.accountId, keyId: who.keyId, maker: makerOf(who) }
  const { micros, day, reservedAtMs } = reply
  const lease = { micros, day, reservedAtMs, ttlMs, leaseUntilMs: nowMs + ttlMs }
  const { keptPrice } = priced
  const asked = { price, keptPrice, markup: who.markup, metadata, requestKey, requestHash }
  const row = { ...made, ...lease, ...asked, draft, createdAtMs: nowMs }
  const giveBack = (): Promise<boolean> =>
    credits.adopt({ draft, micros, day, reservedAtMs }).release()
  try {
    const work = await rows.insert(row)
    if (work !== null) return { work, created: true }
  } catch (error) {
    // Not known whether it is there: what is, may be asked for again by its key; else it lapses.
    if (!(error instanceof UnknownOutcomeError)) await giveBack()
    throw error
  }
  await giveBack()
  return (await earlier(deps, who, request)) ?? REUSED
}

/** Does what the row says. Doing it twice is doing it once. */
async function carryOut({ credits, rows, clock }: WorkDeps, work: WorkHold): Promise<void> {
  const { draft, micros, day, reservedAtMs, settledMicros } = work
  const hold = credits.adopt({ draft, micros, day, reservedAtMs })
  if (settledMicros === null) {
    // Not confirmed: it may still stand, so the row keeps asking for its end.
    if (await hold.release()) await rows.end(work.id, 'released', clock.now())
    return
  }
  const settled = await hold.settle({ draft, micros: settledMicros, tokens: 0, answer: null })
  if ((await settled.posted) === 'posted') await rows.end(work.id, 'settled', clock.now())
}

async function settle(deps: WorkDeps, work: WorkHold, amount: Amount): Promise<WorkHold | Refusal> {
  const nowMs = deps.clock.now()
  const priced = amountAt(deps, work, amount)
  if (isRefusal(priced)) return priced
  const isLate = nowMs > work.leaseUntilMs
  const draft = { ...draftAt(work, priced, nowMs), ...(isLate && { late: true as const }) }
  const decided =
    (await deps.rows.settle(work.id, priced.micros, draft, nowMs)) ??
    (await deps.rows.read(work.id))
  if (decided === null) return NONE
  if (decided.settledMicros === null) return endedAs(decided)
  if (decided.settledMicros !== priced.micros) {
    return refuse('conflict', 'The hold was settled with another amount.')
  }
  if (decided.state === 'settling') await carryOut(deps, decided)
  return decided
}

async function release(deps: WorkDeps, work: WorkHold): Promise<WorkHold | Refusal> {
  const nowMs = deps.clock.now()
  const isCharged = work.state === 'open' && work.progressMicros > 0 && nowMs > work.leaseUntilMs
  if (isCharged) {
    const message =
      'The hold lapsed and is charged at its progress. Settle it with what it came to.'
    return refuse('conflict', message)
  }
  const decided = (await deps.rows.release(work.id, nowMs)) ?? (await deps.rows.read(work.id))
  if (decided === null) return NONE
  if (decided.settledMicros !== null) return endedAs(decided)
  if (decided.state === 'releasing') await carryOut(deps, decided)
  return decided
}

async function heartbeat(
  deps: WorkDeps,
  work: WorkHold,
  amount: Amount | null,
  ttlMs: number,
): Promise<WorkHold | Refusal> {
  const nowMs = deps.clock.now()
  if (work.state !== 'open') return endedAs(work)
  if (nowMs > work.leaseUntilMs) return refuse('conflict', LAPSED)
  const priced = amount === null ? null : amountAt(deps, work, amount)
  if (priced !== null && isRefusal(priced)) return priced
  const rises = priced !== null && priced.micros > work.progressMicros
  const progressMicros = rises ? priced.micros : work.progressMicros
  const draft = rises ? draftAt(work, priced, nowMs) : work.draft
  const beaten = await beatOnce(deps, work, { progressMicros, draft, ttlMs })
  if (beaten === 'away') {
    return refuse('gateway_unavailable', 'Credits cannot be reached right now. Try again.')
  }
  if (beaten === 'gone') return refuse('conflict', LAPSED)
  const leaseUntilMs = nowMs + ttlMs
  const kept = await deps.rows.beat(work.id, { ttlMs, leaseUntilMs, progressMicros, draft }, nowMs)
  if (kept !== null) return kept
  // It ended meanwhile, and this may have put it back.
  const { micros, day, reservedAtMs } = work
  await deps.credits.adopt({ draft, micros, day, reservedAtMs }).release()
  return endedAs((await deps.rows.read(work.id)) ?? work)
}

export function makeWork(deps: WorkDeps): Work {
  const { rows, clock, log } = deps
  const own = async (who: Caller, id: string): Promise<WorkHold | Refusal> => {
    const work = await rows.read(id)
    return work !== null && mayTouch(who, work) ? work : NONE
  }
  const onOwn = async (
    who: Caller,
    id: string,
    run: (work: WorkHold) => Promise<WorkHold | Refusal>,
  ): Promise<WorkHold | Refusal> => {
    const work = await own(who, id)
    return isRefusal(work) ? work : run(work)
  }
  return {
    open: (who, request) => open(deps, who, request),
    read: own,
    heartbeat: (who, id, amount, ttlMs) =>
      onOwn(who, id, (work) => heartbeat(deps, work, amount, ttlMs ?? work.ttlMs)),
    settle: (who, id, amount) => onOwn(who, id, (work) => settle(deps, work, amount)),
    release: (who, id) => onOwn(who, id, (work) => release(deps, work)),
    forget: () => rows.dropOld(clock.now() - WORK_KEPT_MS, WORK_DROP_MAX),
    async finish() {
      for (const work of await rows.ending(clock.now() - WORK_ENDING_MS, WORK_ENDINGS_MAX)) {
        await carryOut(deps, work).catch((error: unknown) => {
          log.warn({ request_id: work.id, error: describeError(error) }, 'a hold was not ended')
        })
      }
    },
  }
}
