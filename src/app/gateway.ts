import { tmpdir } from 'node:os'
import type { CachingAuthenticator } from '../access/authenticator.ts'
import type { Subjects } from '../access/subjects.ts'
import type { Config } from '../config.ts'
import type { CreditEngine } from '../credits/commands.ts'
import type { Holds } from '../credits/holds.ts'
import type { GatewaySettings } from '../gateway/context.ts'
import { makeHttpApis, type HttpApis } from '../gateway/http/apis.ts'
import type { HttpDeps } from '../gateway/http/exchange.ts'
import { makeIsLive } from '../gateway/idempotency/live.ts'
import { makeIdempotency } from '../gateway/idempotency/idempotency.ts'
import type { KeyRows } from '../gateway/idempotency/rows.ts'
import { makeBodyReader } from '../gateway/reading/body-reader.ts'
import { makeRunning, type Running } from '../gateway/running.ts'
import { makeFormStores } from '../gateway/forms/store.ts'
import { makeSoundReader } from '../gateway/sound/sound-reader.ts'
import type { StoredIds } from '../gateway/stored/stored-ids.ts'
import { makeUpstreams, type Upstreams } from '../gateway/upstreams.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import { REQUEST_BODIES_BYTES_MAX } from '../kernel/limits/requests.ts'
import type { Log } from '../kernel/log.ts'
import { makeRoom } from '../kernel/room.ts'
import type { Metrics } from '../ops/metrics.ts'
import type { BreakerStates } from '../ops/upstream-metrics.ts'
import type { PriceBook } from '../pricing/pricing.ts'
import type { Tokenizer } from '../pricing/tokenizer.ts'
import { httpApiConfigs, upstreamConfigs } from './upstreams.ts'

export interface GatewayParts {
  readonly authenticator: CachingAuthenticator
  readonly subjects: Subjects
  readonly holds: Holds
  readonly book: PriceBook
  readonly tokenizer: Tokenizer
  readonly keyRows: KeyRows
  readonly stored: StoredIds
  readonly background: HttpDeps['background']
  readonly engine: CreditEngine
  readonly clock: Clock
  readonly ids: Ids
  readonly log: Log
  readonly metrics: Metrics
}

export interface ConfiguredGateway {
  readonly deps: HttpDeps
  /** Of every upstream in force. */
  readonly breakers: () => BreakerStates
  /** Requests that have begun keep the upstreams they chose. */
  configure(config: Config): void
  /** Cuts what is still open upstream: every request ends and is charged. May be called again. */
  cut(): Promise<void>
}

const settingsOf = ({ holds, top_up_url }: Config): GatewaySettings => ({
  fitToBalance: holds.fit_to_balance,
  maxOutputTokensDefault: holds.max_output_tokens_default,
  topUpUrl: top_up_url,
})

/** Closes what was replaced, after all have called it who chose it and wait for their reserve. */
function retire(running: Running, one: Upstreams | HttpApis, closed: () => void): void {
  running
    .earlierEnded()
    .then(() => one.close())
    .catch(() => undefined) // cut by a stop meanwhile
    .finally(closed)
}

/** The gateway's dependencies, with everything that a reload of the configuration replaces. */
export function configureGateway(parts: GatewayParts, first: Config): ConfiguredGateway {
  let config = first
  let upstreams: Upstreams = makeUpstreams(upstreamConfigs(first))
  let apis: HttpApis = makeHttpApis(httpApiConfigs(first))
  // Those in force, and older ones with requests under way.
  const live = new Set<Upstreams | HttpApis>([upstreams, apis])
  const { clock, ids, log, engine } = parts
  const idempotency = makeIdempotency({
    rows: parts.keyRows,
    isLive: makeIsLive({ engine, loads: parts.background.credits.loads }),
    clock,
    log,
    waitMs: () => config.idempotency_wait_ms,
  })
  const sounds = makeSoundReader({ clock })
  const forms = makeFormStores({ directory: tmpdir(), log })
  const bodies = makeBodyReader({ clock })
  const running = makeRunning()
  return {
    deps: {
      authenticator: parts.authenticator,
      subjects: parts.subjects,
      holds: parts.holds,
      prices: parts.book,
      tokens: parts.tokenizer,
      sounds,
      forms,
      bodies,
      idempotency,
      stored: parts.stored,
      background: parts.background,
      upstreams: () => upstreams,
      apis: () => apis,
      bodyRoom: makeRoom(REQUEST_BODIES_BYTES_MAX),
      settings: () => settingsOf(config),
      clock,
      ids,
      log,
      hooks: parts.metrics,
      drains: { count: 0 },
      running,
    },
    breakers: () =>
      [...upstreams.all, ...apis.all].map(({ name, breaker }) => ({ name, open: breaker.open })),
    configure(next) {
      const before = [upstreams, apis]
      config = next
      upstreams = makeUpstreams(upstreamConfigs(next))
      apis = makeHttpApis(httpApiConfigs(next))
      live.add(upstreams).add(apis)
      for (const one of before) retire(running, one, () => live.delete(one))
    },
    async cut() {
      await Promise.all([sounds.close(), bodies.close()])
      await Promise.all(Array.from(live, (each) => each.destroy()))
    },
  }
}
