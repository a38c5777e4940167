import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { GatewayHooks, RequestDone } from '../gateway/context.ts'
import { makeBillingMetrics, type BillingMetrics } from './billing-metrics.ts'
import { makeLabelCap } from './labels.ts'
import { makeMeterMetrics, type MeterMetrics } from './meter-metrics.ts'
import { makeNotifyMetrics, type NotifyMetrics } from './notify-metrics.ts'
import { makeTally } from './tally.ts'
import { makeUpstreamMetrics, type UpstreamMetrics } from './upstream-metrics.ts'

/** What the process knows at any moment, read when somebody scrapes. */
export interface MetricSources {
  openHolds(): number
  backlog(): { readonly count: number; readonly bytes: number; readonly oldestMs: number }
  breakerOpen(): boolean
  cachedKeys(): number
  drains(): number
  requestBodiesBytes(): number
}

/** Every number that operations watch. Labels never name accounts, keys or models. */
export interface Metrics
  extends GatewayHooks, UpstreamMetrics, BillingMetrics, NotifyMetrics, MeterMetrics {
  /** An answer that went out before its charge was in Postgres. */
  deferred(): void
  /** A hold that its own gateway did not end. */
  recovered(result: 'posted' | 'released'): void
  posted(batch: {
    readonly receipts: number
    readonly durationMs: number
    readonly ok: boolean
  }): void
  /** An account or key that was loaded into the credit engine, and why. */
  loaded(what: 'account' | 'key', reason: 'missing' | 'changed' | 'drift'): void
  loopRan(name: string, ok: boolean, durationMs: number): void
  /** Reads `sources` at each scrape from now on. */
  watch(sources: MetricSources): void
  /** Prometheus text. */
  readonly text: () => Promise<string>
  readonly contentType: string
}

/** Our own time is some tenths of a millisecond; what is above 100 ms is a store that is slow. */
const OVERHEAD_S = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2]
const POST_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5]
const BATCH = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
/** Requests that wait to be counted: in a row they cost less than one by one amid other work. */
const UNCOUNTED_MAX = 128

interface RequestMetrics extends Omit<GatewayHooks, 'upstreamCalled'>, Pick<Metrics, 'deferred'> {
  /** Counts what waits; before each scrape. */
  readonly countAll: () => void
}

function together(
  count: (event: RequestDone) => void,
): Pick<RequestMetrics, 'requestDone' | 'countAll'> {
  let uncounted: RequestDone[] = []
  const countAll = (): void => {
    const events = uncounted
    uncounted = []
    for (const event of events) count(event)
  }
  return {
    requestDone(event) {
      uncounted.push(event)
      if (uncounted.length >= UNCOUNTED_MAX) countAll()
    },
    countAll,
  }
}

function countRequests(registers: Registry[]): (...labels: [string, string, string]) => void {
  const counts = makeTally()
  new Counter({
    name: 'farebox_requests_total',
    help: 'Requests by protocol, upstream and class of status; none: refused before it was known.',
    labelNames: ['protocol', 'upstream', 'status'] as const,
    registers,
    collect() {
      for (const [name, count] of counts.take()) {
        const [protocol = '', upstream = '', status = ''] = name.split('\n')
        this.inc({ protocol, upstream, status }, count)
      }
    },
  })
  return (...labels) => {
    counts.add(labels.join('\n'), 1)
  }
}

function requestMetrics(registers: Registry[]): RequestMetrics {
  const cap = makeLabelCap()
  const requests = countRequests(registers)
  const of = { labelNames: ['upstream'] as const, registers }
  const estimated = new Counter({
    ...of,
    name: 'farebox_estimated_total',
    help: 'Charges estimated because the provider reported no usage.',
  })
  const gone = new Counter({
    ...of,
    name: 'farebox_client_gone_total',
    help: 'Streams whose client left before the end.',
  })
  const deferred = new Counter({
    name: 'farebox_deferred_total',
    help: 'Answers that went out before their charge was in Postgres.',
    registers,
  })
  const overhead = { buckets: OVERHEAD_S, labelNames: ['protocol'] as const, registers }
  const before = new Histogram({
    ...overhead,
    name: 'farebox_overhead_before_seconds',
    help: 'Own time from the request to the call of the upstream.',
  })
  const after = new Histogram({
    ...overhead,
    name: 'farebox_overhead_after_seconds',
    help: 'Own time from the end of the upstream to the last byte, posting included.',
  })
  const count = (event: RequestDone): void => {
    const protocol = cap('protocol', event.protocol)
    const upstream = cap('upstream', event.upstream)
    requests(protocol, upstream, `${Math.floor(event.status / 100)}xx`)
    if (event.estimated) estimated.inc({ upstream })
    if (event.beforeMs !== null) before.observe({ protocol }, event.beforeMs / 1000)
    if (event.afterMs !== null) after.observe({ protocol }, event.afterMs / 1000)
  }
  return {
    ...together(count),
    deferred: () => {
      deferred.inc()
    },
    clientGone: (upstream) => {
      gone.inc({ upstream: cap('upstream', upstream) })
    },
  }
}

function storeMetrics(registers: Registry[]): Pick<Metrics, 'recovered' | 'posted' | 'loaded'> {
  const recoveries = new Counter({
    name: 'farebox_recoveries_total',
    help: 'Holds that recovery ended in place of their gateway.',
    labelNames: ['result'] as const,
    registers,
  })
  const size = new Histogram({
    name: 'farebox_post_batch_receipts',
    help: 'Receipts in one posting transaction.',
    buckets: BATCH,
    registers,
  })
  const seconds = new Histogram({
    name: 'farebox_post_seconds',
    help: 'Duration of one posting transaction.',
    buckets: POST_S,
    labelNames: ['result'] as const,
    registers,
  })
  const loads = new Counter({
    name: 'farebox_loads_total',
    help: 'Loads into the credit engine: missing, changed elsewhere, or found to drift.',
    labelNames: ['what', 'reason'] as const,
    registers,
  })
  return {
    recovered: (result) => {
      recoveries.inc({ result })
    },
    posted: ({ receipts, durationMs, ok }) => {
      if (ok) size.observe(receipts)
      seconds.observe({ result: ok ? 'ok' : 'failed' }, durationMs / 1000)
    },
    loaded: (what, reason) => {
      loads.inc({ what, reason })
    },
  }
}

function loopMetrics(registers: Registry[]): Pick<Metrics, 'loopRan'> {
  const cap = makeLabelCap()
  const seconds = new Histogram({
    name: 'farebox_loop_seconds',
    help: 'Rounds of background loops.',
    buckets: POST_S,
    labelNames: ['loop', 'result'] as const,
    registers,
  })
  return {
    loopRan: (name, ok, durationMs) => {
      seconds.observe({ loop: cap('loop', name), result: ok ? 'ok' : 'failed' }, durationMs / 1000)
    },
  }
}

function gauges(registers: Registry[]): (sources: MetricSources) => void {
  let sources: MetricSources | null = null
  const gauge = (name: string, help: string, read: (from: MetricSources) => number): void => {
    new Gauge({
      name: `farebox_${name}`,
      help,
      registers,
      collect() {
        if (sources !== null) this.set(read(sources))
      },
    })
  }
  gauge('open_holds', 'Requests of this process that hold credits.', (from) => from.openHolds())
  gauge('backlog_receipts', 'Settled receipts not yet in Postgres.', (from) => from.backlog().count)
  gauge('backlog_bytes', 'Their size.', (from) => from.backlog().bytes)
  gauge('backlog_age_seconds', 'Age of the oldest.', (from) => from.backlog().oldestMs / 1000)
  gauge('post_breaker_open', '1 while answers do not wait for Postgres.', (from) =>
    Number(from.breakerOpen()),
  )
  gauge('cached_keys', 'Keys in the cache of authentication.', (from) => from.cachedKeys())
  gauge('drains', 'Streams read on after their client left.', (from) => from.drains())
  gauge(
    'request_bodies_bytes',
    'What bodies of requests and large answers take of their room in memory.',
    (from) => from.requestBodiesBytes(),
  )
  return (given) => {
    sources = given
  }
}

/** `worker` tells the samples of several processes apart; null = there is only this one. */
export function makeMetrics(worker: number | null = null): Metrics {
  const registry = new Registry()
  if (worker !== null) registry.setDefaultLabels({ worker: String(worker) })
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const { countAll, ...requests } = requestMetrics(registers)
  return {
    ...requests,
    ...storeMetrics(registers),
    ...loopMetrics(registers),
    ...makeUpstreamMetrics(registers),
    ...makeBillingMetrics(registers),
    ...makeNotifyMetrics(registers),
    ...makeMeterMetrics(registers),
    watch: gauges(registers),
    text: () => {
      countAll()
      return registry.metrics()
    },
    contentType: registry.contentType,
  }
}
