import type { IncomingHttpHeaders } from 'node:http'
import type { HoldProgress, Settled } from '../../credits/holds.ts'
import { ANSWER_METER_BYTES_MAX } from '../../kernel/limits.ts'
import type { Micros } from '../../kernel/money.ts'
import { nonZero, type Usage } from '../../kernel/usage.ts'
import type { HttpDeps, HttpExchange } from './exchange.ts'
import { countAt, countOf } from './units.ts'

export interface HttpCharged {
  readonly micros: Micros
  readonly estimated: boolean
  readonly settled: Settled
}

/** Counts what one answer uses while it passes. */
export interface HttpMeter {
  data(chunk: Buffer): void
  readonly responseBytes: number
  /** What it has cost so far; null while that is nothing. */
  progress(): HoldProgress | null
  /** Ends the hold with its charge. `isWhole`: the answer came to its end. Never rejects. */
  settle(isWhole: boolean): Promise<HttpCharged>
}

/** The units an answer names; null = it names none, or its body was not seen to the end. */
function namedUnits(
  exchange: HttpExchange,
  headers: IncomingHttpHeaders,
  body: Buffer | null,
): number | null {
  const source = exchange.api.units?.source
  if (source === undefined) return 0
  if (source.kind === 'header') return countOf(headers[source.name])
  return body === null ? null : countAt(body, source.path)
}

/**
 * Units not named by an answer count as `missing`, and the receipt says estimated; so they do in a
 * body that broke off. Source: design §2.6 (absent is not zero).
 */
export function makeHttpMeter(
  deps: HttpDeps,
  exchange: HttpExchange,
  status: number,
  headers: IncomingHttpHeaders,
): HttpMeter {
  const { api, times, price, priceQuery, sent } = exchange
  const readsBody = api.units?.source.kind === 'json'
  let kept: Buffer[] | null = readsBody ? [] : null
  let responseBytes = 0
  const usageWith = (units: number): Usage => {
    const untilMs = times.endedMs === 0 ? deps.clock.monotonicMs() : times.endedMs
    return nonZero({
      requests: 1,
      request_bytes: sent.bytes,
      response_bytes: responseBytes,
      seconds: Math.ceil(untilMs - times.sentMs) / 1_000,
      units,
    })
  }
  const priced = (named: number | null): HoldProgress => {
    const usage = usageWith(named ?? api.units?.missing ?? 0)
    const charge = deps.prices.charge(price, priceQuery, usage, null)
    const nowMs = deps.clock.monotonicMs()
    return {
      micros: charge.micros,
      draft: {
        ...exchange.draft,
        stream: headers['content-type']?.startsWith('text/event-stream') === true,
        estimated: named === null,
        usage,
        providerCostPicoUsd: charge.costPicoUsd.toString(),
        priceVersion: charge.priceVersion,
        httpStatus: status,
        firstByteMs: Math.round(times.firstByteMs - exchange.startedMonoMs),
        durationMs: Math.round(nowMs - exchange.startedMonoMs),
      },
    }
  }
  return {
    data(chunk) {
      responseBytes += chunk.length
      if (responseBytes > ANSWER_METER_BYTES_MAX) kept = null
      else kept?.push(chunk)
    },
    get responseBytes() {
      return responseBytes
    },
    progress() {
      const soFar = priced(readsBody ? null : namedUnits(exchange, headers, null))
      return soFar.micros === 0 ? null : soFar
    },
    async settle(isWhole) {
      const body = isWhole && kept !== null ? Buffer.concat(kept) : null
      const { micros, draft } = priced(namedUnits(exchange, headers, body))
      const settled = await exchange.hold.settle({ draft, micros, tokens: 0, answer: null })
      return { micros, estimated: draft.estimated, settled }
    },
  }
}
