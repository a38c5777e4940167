import type { Settled } from '../credits/holds.ts'
import { IDEMPOTENT_ANSWER_BYTES_MAX } from '../kernel/limits/idempotency.ts'
import { describeError } from '../kernel/log.ts'
import type { Micros } from '../kernel/money.ts'
import type { StoredAnswer } from '../ledger/receipt.ts'
import type { MeterReport } from '../protocols/protocol.ts'
import { countServed, type Served } from './count-served.ts'
import type { Exchange, GatewayDeps } from './context.ts'
import type { OutgoingHeaders } from './headers.ts'
import type { IdempotencyClaim } from './idempotency/idempotency.ts'
import type { Counting } from './reply.ts'
import { draftWith, measure, roughly, type Measured } from './measure.ts'

export interface Charged {
  readonly micros: Micros
  readonly estimated: boolean
  readonly settled: Settled
}

/** Headers worth repeating to a duplicate; everything else belongs to one connection. */
const KEPT_HEADERS = ['content-type', 'x-request-id', 'request-id', 'openai-version']

/** The answer as a duplicate of an idempotent request will get it. null = not idempotent. */
export function answerToKeep(
  exchange: Exchange,
  status: number,
  headers: OutgoingHeaders,
  parts: readonly Buffer[] | null,
): StoredAnswer | null {
  const { claim } = exchange
  if (claim === null) return null
  const kept: Record<string, string> = {}
  for (const name of KEPT_HEADERS) {
    const value = headers[name]
    if (typeof value === 'string') kept[name] = value
  }
  const bytes = parts === null ? Infinity : parts.reduce((sum, part) => sum + part.length, 0)
  const body = parts === null || bytes > IDEMPOTENT_ANSWER_BYTES_MAX ? null : Buffer.concat(parts)
  return { idempotencyKey: claim.key, status, headers: kept, body }
}

function measureSafely(
  deps: GatewayDeps,
  exchange: Exchange,
  report: MeterReport,
): Measured | Promise<Measured> {
  const byEstimate = (error: unknown): Measured => {
    deps.log.error(
      { request_id: exchange.id, error: describeError(error) },
      'usage could not be measured exactly; charged by estimate',
    )
    return roughly(deps, exchange, { ...report, usage: null, model: null, serviceTier: null })
  }
  try {
    const measured = measure(deps, exchange, report)
    return measured instanceof Promise ? measured.catch(byEstimate) : measured
  } catch (error) {
    return byEstimate(error)
  }
}

/**
 * Turns the hold into its charge and queues the receipt. Never rejects: once the upstream has
 * answered, every way out of a request comes through here. `settled.posted` then says when the
 * answer may complete. Source: design §2.7, §2.9, §3.
 */
export function settle(
  deps: GatewayDeps,
  exchange: Exchange,
  report: MeterReport,
  httpStatus: number,
  answer: StoredAnswer | null,
): Promise<Charged> {
  const charge = (measured: Measured): Promise<Charged> => {
    const { estimated, tokens } = measured
    const { micros } = measured.charge
    const draft = draftWith(exchange, measured, httpStatus, deps.clock.monotonicMs())
    return exchange.hold.settle({ draft, micros, tokens, answer }).then((settled) => {
      exchange.claim?.done()
      return { micros, estimated, settled }
    })
  }
  const measured = measureSafely(deps, exchange, report)
  return measured instanceof Promise ? measured.then(charge) : charge(measured)
}

/**
 * Ends a request that is not charged: hold and idempotency key are free again. `isUncounted`: it
 * begins anew by all of its body, and counts then. Never rejects.
 */
export async function release(
  deps: GatewayDeps,
  exchange: Pick<Exchange, 'id' | 'hold' | 'claim'>,
  isUncounted = false,
): Promise<void> {
  await exchange.hold.release(isUncounted)
  await exchange.claim?.free()
  deps.log.debug({ request_id: exchange.id }, 'released without a charge')
}

type OwnerDeps = Pick<GatewayDeps, 'log' | 'clock'> & Counting

/** What has to end with a request. */
interface Ending extends Served {
  readonly id: string
  readonly out: { destroy(): unknown }
  readonly hold: Pick<Exchange['hold'], 'handOver'>
  readonly claim: Pick<IdempotencyClaim, 'done'> | null
  readonly ended: () => void
}

/**
 * A request that cannot be finished: breaks the connection, loudly, and leaves the hold and the
 * idempotency key to their leases: neither is renewed any more. It counts as an error of ours,
 * whatever its client was told.
 */
export function fail(deps: OwnerDeps, of: Ending, error: unknown): void {
  deps.log.error(
    { request_id: of.id, error: describeError(error) },
    'request could not be finished; recovery will end its hold',
  )
  void of.hold.handOver()
  of.claim?.done()
  of.out.destroy()
  countServed(deps, of, 500, false)
  of.ended()
}

/** Tells of a fault amid an answer, which then ends as if its upstream had broken off. */
export const tellFault =
  ({ log }: Pick<GatewayDeps, 'log'>, id: string) =>
  (fault: Error): void => {
    log.error({ request_id: id, error: describeError(fault) }, 'an answer could not be passed on')
  }

/** Owns the work that ends a request outside its handler. */
export function own(deps: OwnerDeps, exchange: Ending, work: Promise<void>): void {
  work.then(exchange.ended, (error: unknown) => {
    fail(deps, exchange, error)
  })
}
