import type { Dispatcher } from 'undici'
import { makeBreaker, type Breaker, type BreakerSettings } from '../breaker.ts'
import { makeDispatcher } from '../upstreams.ts'
import type { UnitsSource } from './units.ts'

/** One named HTTP API as the configuration describes it. Source: design §8 and §10. */
export interface HttpApiConfig {
  readonly name: string
  readonly baseUrl: string
  /** The operator's own headers, credentials among them; lower case names. */
  readonly headers: Readonly<Record<string, string>>
  /** null = any. */
  readonly methods: readonly string[] | null
  /** null = the answer names no units. */
  readonly units: {
    readonly source: UnitsSource
    /** The most one request may be charged for before it is known: what is held. */
    readonly max: number
    /** What counts where an answer names none. */
    readonly missing: number
  } | null
  readonly requestBytesMax: number
  readonly responseBytesMax: number
  readonly secondsMax: number
  /** Whether an answer of 400 and above is charged. */
  readonly chargesErrors: boolean
  readonly onDisconnect: 'abort' | 'drain'
  readonly responseMsMax: number
  /** Names of APIs that are called where this one cannot answer, in their order. */
  readonly fallback: readonly string[]
  readonly breakerSettings: BreakerSettings
}

export interface HttpApi extends HttpApiConfig {
  readonly origin: string
  /** Without a trailing slash. */
  readonly basePath: string
  readonly ownHeaders: readonly string[]
  readonly ownHeaderNames: ReadonlySet<string>
  readonly dispatcher: Dispatcher
  readonly breaker: Breaker
  readonly fallbacks: readonly HttpApi[]
}

export interface HttpApis {
  find(name: string): HttpApi | null
  readonly all: readonly HttpApi[]
  /** Resolves when their requests have ended. */
  close(): Promise<void>
  /** Ends their requests. May be called again. */
  destroy(): Promise<void>
}

function makeApi(config: HttpApiConfig): HttpApi & { fallbacks: HttpApi[] } {
  const url = new URL(config.baseUrl)
  const names = Object.keys(config.headers)
  return {
    ...config,
    origin: url.origin,
    basePath: url.pathname.replace(/\/+$/, ''),
    ownHeaders: Object.entries(config.headers).flat(),
    ownHeaderNames: new Set(names),
    dispatcher: makeDispatcher(config.responseMsMax),
    breaker: makeBreaker(config.name, config.breakerSettings),
    fallbacks: [],
  }
}

/** Connects lazily. */
export function makeHttpApis(configs: readonly HttpApiConfig[]): HttpApis {
  const all = configs.map(makeApi)
  const byName = new Map(all.map((api) => [api.name, api]))
  for (const api of all) {
    const named = api.fallback.map((name) => byName.get(name))
    api.fallbacks.push(...named.filter((other) => other !== undefined))
  }
  const end = async (how: (dispatcher: Dispatcher) => Promise<void>): Promise<void> => {
    for (const { breaker } of all) breaker.close()
    await Promise.all(all.map(({ dispatcher }) => how(dispatcher)))
  }
  return {
    all,
    find: (name) => byName.get(name) ?? null,
    close: () => end((dispatcher) => dispatcher.close()),
    destroy: () => end((dispatcher) => dispatcher.destroy()),
  }
}
