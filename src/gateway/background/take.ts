import { beatOnce } from '../../access/work/beat.ts'
import { refuse } from '../../kernel/errors.ts'
import { BACKGROUND_LEASE_MS } from '../../kernel/limits-media.ts'
import { describeError } from '../../kernel/log.ts'
import type { StoredAnswer } from '../../ledger/receipt.ts'
import { isObject, parseJson, textOr } from '../../protocols/json.ts'
import type { Exchange, GatewayDeps } from '../context.ts'
import { progressOf } from '../measure.ts'
import type { Job } from './jobs.ts'

const UNDER_WAY: ReadonlySet<string> = new Set(['queued', 'in_progress'])

export const NOT_TAKEN = refuse(
  'gateway_unavailable',
  'The response could not be followed to its end, so it was not begun. Try again.',
)

/** The id of a response that goes on after its answer; null = the answer is all there is. */
export function underWay(body: Buffer): string | null {
  const answer = parseJson(body.toString('utf8'))
  if (!isObject(answer) || !UNDER_WAY.has(textOr(answer.status) ?? '')) return null
  return textOr(answer.id)
}

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
 * it, so that whoever is left polls on. false = it could not be written. Source: issue 3 §1.
 */
export async function takeJob(
  deps: GatewayDeps,
  exchange: Exchange,
  responseId: string,
  answer: StoredAnswer | null,
  firstPollMs: number,
): Promise<boolean> {
  const { jobs, engine, credits, clock, log } = { ...deps, ...deps.background }
  try {
    const job = jobOf(deps, exchange, responseId, answer)
    await jobs.insert(job, clock.now() + firstPollMs)
    exchange.claim?.done()
    await exchange.hold.handOver()
    await beatOnce(
      { engine, credits, log },
      { ...job, id: job.holdId, keyId: job.draft.keyId },
      {
        progressMicros: job.terms.progressMicros,
        draft: job.draft,
        ttlMs: BACKGROUND_LEASE_MS,
      },
    )
    return true
  } catch (error) {
    log.error({ request_id: exchange.id, error: describeError(error) }, 'no poll could be noted')
    return false
  }
}
