import type { IncomingHttpHeaders } from 'node:http'
import type { HoldProgress, Settled } from '../../credits/holds.ts'
import type { Micros } from '../../kernel/money.ts'
import { nonZero, type Usage } from '../../kernel/usage.ts'
import type { StoredAnswer } from '../../ledger/receipt.ts'
import type { GatewayDeps } from '../context.ts'
import type { Flow } from '../forward.ts'
import type { HttpExchange } from './exchange.ts'
import { isEventStream, makeUnitsTap } from './units-tap.ts'

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
  settle(isWhole: boolean, answer: StoredAnswer | null): Promise<HttpCharged>
}

/**
 * Units not named by an answer count as `missing`, and the receipt says estimated; so it does of a
 * body that broke off. `flow` is held back while what comes compressed is read.
 * Source: design §2.6 (absent is not zero).
 */
export function makeHttpMeter(
  deps: GatewayDeps,
  exchange: HttpExchange,
  { status, headers, flow }: { status: number; headers: IncomingHttpHeaders; flow: Flow },
): HttpMeter {
  const { api, times, price, priceQuery, sent } = exchange
  const isKnownAtOnce = api.units?.source.kind !== 'json'
  const units = makeUnitsTap(api.units?.source ?? null, headers, flow, deps, exchange)
  let responseBytes = 0
  const usageWith = (count: number): Usage => {
    const untilMs = times.endedMs === 0 ? deps.clock.monotonicMs() : times.endedMs
    return nonZero({
      requests: 1,
      request_bytes: sent.bytes,
      response_bytes: responseBytes,
      seconds: Math.ceil(untilMs - times.calledMs) / 1_000,
      units: count,
    })
  }
  const priced = (named: number | null, isSure: boolean): HoldProgress => {
    const usage = usageWith(named ?? api.units?.missing ?? 0)
    const charge = deps.prices.charge(price, priceQuery, usage, null)
    const nowMs = deps.clock.monotonicMs()
    return {
      micros: charge.micros,
      draft: {
        ...exchange.draft,
        stream: isEventStream(headers),
        estimated: !isSure,
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
      units.data(chunk)
    },
    get responseBytes() {
      return responseBytes
    },
    progress() {
      const soFar = priced(units.soFar, isKnownAtOnce && units.soFar !== null)
      return soFar.micros === 0 ? null : soFar
    },
    async settle(isWhole, answer) {
      const { named, isSure } = await units.end(isWhole)
      const { micros, draft } = priced(named, isSure)
      const settled = await exchange.hold.settle({ draft, micros, tokens: 0, answer })
      exchange.claim?.done()
      return { micros, estimated: draft.estimated, settled }
    },
  }
}
