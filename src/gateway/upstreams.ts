import { Agent, type Dispatcher } from 'undici'
import { compileGlob } from '../kernel/glob.ts'
import { UPSTREAM_BODY_MS_MAX, UPSTREAM_CONNECT_MS_MAX } from '../kernel/limits.ts'
import type { Family } from '../protocols/protocol.ts'

/** One upstream as the configuration names it. Source: design §10. */
export interface UpstreamConfig {
  readonly name: string
  readonly protocol: Family
  readonly baseUrl: string
  readonly apiKey: string | null
  /** Globs; null = every model that no upstream names. */
  readonly models: readonly string[] | null
  /** What happens to a stream whose client left. Source: providers.md §1. */
  readonly onDisconnect: 'abort' | 'drain'
  /** Requests whose body does not bound their cost: refuse them, or reserve that much more. */
  readonly unbounded: 'deny' | 'cap'
  readonly unboundedReserveTokens: number
  /** Which field takes an injected output limit. */
  readonly outputLimitField: string
  /** Longest wait for the answer's headers, ms. */
  readonly responseMsMax: number
}

export interface Upstream extends UpstreamConfig {
  readonly origin: string
  /** Path of the base URL without a trailing slash and without the protocol's own "/v1". */
  readonly basePath: string
  readonly ownHeaders: readonly string[]
  readonly ownHeaderNames: ReadonlySet<string>
  readonly dispatcher: Dispatcher
}

export interface Upstreams {
  /** The upstream for a model: one that names it before one that takes everything; null = none. */
  choose(family: Family, model: string): Upstream | null
  readonly all: readonly Upstream[]
  /** Resolves when its requests have ended. */
  close(): Promise<void>
  /** Ends its requests: each sees its upstream break off. May be called again. */
  destroy(): Promise<void>
}

const authHeaders = (config: UpstreamConfig): string[] => {
  if (config.apiKey === null) return []
  switch (config.protocol) {
    case 'openai':
      return ['authorization', `Bearer ${config.apiKey}`]
    case 'anthropic':
      return ['x-api-key', config.apiKey]
  }
}

function makeUpstream(config: UpstreamConfig): Upstream {
  const url = new URL(config.baseUrl)
  const ownHeaders = authHeaders(config)
  return {
    ...config,
    origin: url.origin,
    basePath: url.pathname.replace(/\/+$/, '').replace(/\/v1$/, ''),
    ownHeaders,
    ownHeaderNames: new Set(ownHeaders.filter((_, index) => index % 2 === 0)),
    dispatcher: new Agent({
      connect: { timeout: UPSTREAM_CONNECT_MS_MAX },
      headersTimeout: config.responseMsMax,
      bodyTimeout: UPSTREAM_BODY_MS_MAX,
      pipelining: 1,
    }),
  }
}

/** Connects lazily. TLS certificates are verified (undici's default, never turned off here). */
export function makeUpstreams(configs: readonly UpstreamConfig[]): Upstreams {
  const all = configs.map(makeUpstream)
  const routes = all
    .flatMap((upstream) =>
      (upstream.models ?? ['*']).map((glob) => ({
        upstream,
        matches: compileGlob(glob),
        rank: upstream.models === null ? 1 : 0,
      })),
    )
    .sort((a, b) => a.rank - b.rank)
  return {
    all,
    choose: (family, model) =>
      routes.find((route) => route.upstream.protocol === family && route.matches(model))
        ?.upstream ?? null,
    close: async () => {
      await Promise.all(all.map((upstream) => upstream.dispatcher.close()))
    },
    destroy: async () => {
      await Promise.all(all.map((upstream) => upstream.dispatcher.destroy()))
    },
  }
}
