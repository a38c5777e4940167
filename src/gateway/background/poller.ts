import { beatOnce } from '../../access/work/beat.ts'
import type { CreditEngine } from '../../credits/commands.ts'
import type { ReceiptDraft, SettleFinal } from '../../credits/holds.ts'
import type { Credits } from '../../credits/lifecycle.ts'
import type { Clock } from '../../kernel/clock.ts'
import {
  BACKGROUND_LEASE_MS,
  BACKGROUND_MS_MAX,
  BACKGROUND_POLLS_MAX,
  BACKGROUND_POLL_MS_MAX,
  BACKGROUND_POLL_MS_MIN,
} from '../../kernel/limits/background.ts'
import { describeError, type Log } from '../../kernel/log.ts'
import { makeWorkPool, type WorkPool } from '../../kernel/work-pool.ts'
import type { StoredAnswer } from '../../ledger/receipt.ts'
import type { PriceBook } from '../../pricing/pricing.ts'
import type { MeterReport } from '../../protocols/protocol.ts'
import { unknownReport } from '../answers/answer.ts'
import { measure, type Measured } from '../measure.ts'
import type { TokenCounter } from '../context.ts'
import type { BodyReader } from '../reading/body-reader.ts'
import type { Running } from '../running.ts'
import type { Upstreams } from '../upstreams.ts'
import type { Job, Jobs } from './jobs.ts'
import { lookAt } from './look.ts'

export interface PollerDeps {
  readonly jobs: Jobs
  readonly engine: CreditEngine
  readonly credits: Pick<Credits, 'adopt' | 'loads'>
  readonly prices: PriceBook
  readonly tokens: TokenCounter
  readonly bodies: Pick<BodyReader, 'meter'>
  readonly upstreams: () => Upstreams
  readonly clock: Clock
  readonly log: Log
  readonly running: Running
}

/** What a response came to. null = its model has lost its price. */
async function measured(deps: PollerDeps, job: Job, report: MeterReport): Promise<Measured | null> {
  const { upstream, model, serviceTier, markup, inputTokens, outputTokensMax } = job.terms
  const { price: kept } = job.terms
  const query = { upstream, model, atMs: job.draft.startedAtMs, accountMarkup: markup }
  const price = kept === null ? deps.prices.find(query) : deps.prices.revive(kept)
  if (price === null) return null
  const bound = { inputTokensMax: 0, outputTokensMax, webSearchesMax: 0, serviceTier }
  const inputText = (): string[] => []
  const view = { model, serviceTier, inputText, inputTokensBeyondText: inputTokens }
  return measure(deps, { view, target: { price, query, bound } }, report)
}

function draftOf(job: Job, done: Measured, nowMs: number): ReceiptDraft {
  return {
    ...job.draft,
    model: done.model,
    estimated: done.estimated,
    usage: done.usage,
    providerCostPicoUsd: done.charge.costPicoUsd.toString(),
    priceVersion: done.charge.priceVersion,
    storedIds: [job.responseId, ...done.storedIds.filter((id) => id !== job.responseId)],
    durationMs: Math.max(0, Math.round(nowMs - job.draft.startedAtMs)),
  }
}

function answerOf({ terms: { answer } }: Job): StoredAnswer | null {
  return answer === null ? null : { ...answer, body: Buffer.from(answer.body, 'base64') }
}

/**
 * What a response is charged. `done` null = its model has lost its price: null until it is too old
 * to wait for one, then what it came to when it still had one.
 */
export function chargeOf(
  job: Job,
  done: Measured | null,
  isOld: boolean,
  nowMs: number,
): Omit<SettleFinal, 'answer'> | null {
  if (done !== null) {
    return { draft: draftOf(job, done, nowMs), micros: done.charge.micros, tokens: done.tokens }
  }
  return isOld ? { draft: job.draft, micros: job.terms.progressMicros, tokens: 0 } : null
}

/** Charges a response. Doing it twice is doing it once: its hold is settled and posted once. */
async function settle(
  deps: PollerDeps,
  job: Job,
  report: MeterReport,
  isOld: boolean,
): Promise<boolean> {
  const done = await measured(deps, job, report)
  if (done === null) {
    deps.log.error({ request_id: job.holdId, model: job.terms.model }, 'no price to settle at')
  }
  const charge = chargeOf(job, done, isOld, deps.clock.now())
  if (charge === null) return false
  const hold = deps.credits.adopt({ ...job, draft: charge.draft })
  const settled = await hold.settle({ ...charge, answer: answerOf(job) })
  if ((await settled.posted) !== 'posted') return false
  await deps.jobs.remove(job.holdId)
  return true
}

/** What is left to charge where nobody can tell any more: what went in, as an estimate. */
const NOTHING_KNOWN = unknownReport(0)

/** Asks about one response; answers whether it is done with. */
async function poll(deps: PollerDeps, job: Job, ageMs: number): Promise<boolean> {
  const isOld = ageMs > BACKGROUND_MS_MAX
  const { upstream: name } = job.terms
  const upstream = deps.upstreams().all.find((each) => each.name === name)
  if (upstream === undefined) {
    deps.log.error({ request_id: job.holdId, upstream: name }, 'no such upstream to poll')
  } else {
    const look = await lookAt(deps.bodies, upstream, job.responseId)
    if (look.kind === 'ended') return settle(deps, job, look.report, isOld)
    if (look.kind === 'gone') return settle(deps, job, NOTHING_KNOWN, isOld)
    if (look.kind === 'unknown') {
      const fields = { request_id: job.holdId, upstream_status: look.status }
      deps.log.warn(fields, 'a poll was not answered')
    }
  }
  return isOld ? settle(deps, job, NOTHING_KNOWN, isOld) : false
}

async function work(deps: PollerDeps, job: Job): Promise<void> {
  const { jobs, clock, log } = deps
  const ageMs = clock.now() - job.createdAtMs
  const { progressMicros } = job.terms
  try {
    // One that recovery has ended meanwhile is corrected by its settling.
    await beatOnce(
      deps,
      { ...job, id: job.holdId, keyId: job.draft.keyId },
      { progressMicros, draft: job.draft, ttlMs: BACKGROUND_LEASE_MS },
    )
    if (await poll(deps, job, ageMs)) return
  } catch (error) {
    log.warn({ request_id: job.holdId, error: describeError(error) }, 'a poll failed')
  }
  const pauseMs = Math.min(Math.max(ageMs / 10, BACKGROUND_POLL_MS_MIN), BACKGROUND_POLL_MS_MAX)
  await jobs.delay(job.holdId, clock.now() + pauseMs).catch((error: unknown) => {
    log.warn({ request_id: job.holdId, error: describeError(error) }, 'a poll waits for its lease')
  })
}

/**
 * Polls responses that are made in the background until they have ended, and charges them once,
 * whether or not their client ever asks. Every process polls; a job whose process died is due
 * again when its lease ends. Source: design §3, providers.md §1.
 */
export function makePoller(deps: PollerDeps): WorkPool {
  return makeWorkPool({
    max: BACKGROUND_POLLS_MAX,
    claim: (room) => deps.jobs.claim(deps.clock.now(), room),
    work: (job) => work(deps, job).finally(deps.running.begin()),
  })
}
