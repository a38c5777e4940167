import { beatOnce } from '../../access/work/beat.ts'
import { refuse } from '../../kernel/errors.ts'
import { BACKGROUND_LEASE_MS } from '../../kernel/limits/background.ts'
import { describeError } from '../../kernel/log.ts'
import type { StoredAnswer } from '../../ledger/receipt.ts'
import type { Exchange, GatewayDeps } from '../context.ts'
import { progressOf } from '../measure.ts'
import type { Job } from './jobs.ts'

/** Its provider said that it made nothing of it. */
export const NOT_BEGUN = refuse(
  'gateway_unavailable',
  'The response could not be followed to its end, so it was not begun. Try again.',
)
/** It may be at work. */
export const NOT_FOLLOWED = refuse(
  'response_not_followed',
  'The response was begun, but cannot be followed to its end. Its input is charged.',
)

function jobOf(
  deps: GatewayDeps,
  exchange: Exchange,
  responseId: string,
  answer: StoredAnswer | null,
): Job {
  const { view, target, hold, caller, protocol, draft } = exchange
  const report = protocol.meterAnswer(Buffer.from('{}'))
  const progress = progressOf(deps, exchange, report, 200, deps.clock.monotonicMs())
  const kept = answer?.body ?? null
  return {
    holdId: draft.holdId,
    accountId: draft.accountId,
    responseId,
    micros: hold.micros,
    day: hold.day,
    reservedAtMs: hold.reservedAtMs,
    draft: progress.draft,
    terms: {
      upstream: target.upstream.name,
      model: view.model,
      serviceTier: view.serviceTier,
      markup: caller.markup,
      price: deps.prices.keep(target.price),
      inputTokens: progress.draft.usage.input_tokens ?? 0,
      outputTokensMax: target.bound.outputTokensMax,
      progressMicros: progress.micros,
      answer:
        answer === null || kept === null
          ? null
          : { ...answer, body: Buffer.from(kept).toString('base64') },
    },
    createdAtMs: deps.clock.now(),
  }
}

/**
 * Hands a response that goes on over to those who poll: written down before its client hears of
 * it, so that whoever is left polls on. false = it could not be written. Source: design §3.
 */
export async function takeJob(
  deps: GatewayDeps,
  exchange: Exchange,
  responseId: string,
  answer: StoredAnswer | null,
  firstPollMs: number,
): Promise<boolean> {
  const { jobs, engine, credits, clock, log } = { ...deps, ...deps.background }
  const fault = (error: unknown, what: string): void => {
    log.error({ request_id: exchange.id, error: describeError(error) }, what)
  }
  const job = jobOf(deps, exchange, responseId, answer)
  try {
    await jobs.insert(job, clock.now() + firstPollMs)
  } catch (error) {
    fault(error, 'no poll could be noted')
    return false
  }
  exchange.claim?.done()
  const beat = { progressMicros: job.terms.progressMicros, draft: job.draft }
  const held = { ...job, id: job.holdId, keyId: job.draft.keyId }
  try {
    await exchange.hold.handOver()
    await beatOnce({ engine, credits, log }, held, { ...beat, ttlMs: BACKGROUND_LEASE_MS })
  } catch (error) {
    fault(error, 'a noted poll waits for its own renewal') // whoever polls it renews it first
  }
  return true
}
