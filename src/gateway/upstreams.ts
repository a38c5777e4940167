import { Agent, type Dispatcher } from 'undici'
import { compileGlob } from '../kernel/glob.ts'
import { makeBreaker, type Breaker, type BreakerSettings } from './breaker.ts'
import { UPSTREAM_BODY_MS_MAX, UPSTREAM_CONNECT_MS_MAX } from '../kernel/limits/upstreams.ts'
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
  /**
   * Requests whose body does not bound their cost: refuse them, reserve the model's context for
   * each call of a tool, or reserve that much more.
   */
  readonly unbounded: 'deny' | 'window' | 'cap'
  readonly unboundedReserveTokens: number
  /** Which field takes an injected output limit. */
  readonly outputLimitField: string
  /** own: a request goes on only from what its account had stored. any: the operator trusts ids. */
  readonly storedIds: 'own' | 'any'
  /** Longest wait for the answer's headers, ms. */
  readonly responseMsMax: number
  /** Names of upstreams that are called where this one cannot answer, in their order. */
  readonly fallback: readonly string[]
  readonly breakerSettings: BreakerSettings
}

export interface Upstream extends UpstreamConfig {
  readonly origin: string
  /** Path of the base URL without a trailing slash and the protocol's own "/v1" or "/v1beta". */
  readonly basePath: string
  readonly ownHeaders: readonly string[]
  readonly ownHeaderNames: ReadonlySet<string>
  readonly dispatcher: Dispatcher
  readonly breaker: Breaker
  readonly fallbacks: readonly Upstream[]
}

export interface Upstreams {
  /**
   * The upstream for a model: one that names it exactly, then the glob with more letters, then one
   * that takes everything; of two alike the first in the configuration. null = none.
   */
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
    case 'gemini':
      return ['x-goog-api-key', config.apiKey]
  }
}

/**
 * Connections to one upstream. `responseMsMax`: longest wait for an answer's headers. HTTP/1.1:
 * over HTTP/2 undici sends a request again by itself, and a client that reads slowly would hold
 * up those whose answers share its connection.
 */
export const makeDispatcher = (responseMsMax: number): Dispatcher =>
  new Agent({
    allowH2: false,
    connect: { timeout: UPSTREAM_CONNECT_MS_MAX },
    headersTimeout: responseMsMax,
    bodyTimeout: UPSTREAM_BODY_MS_MAX,
    pipelining: 1,
  })

function makeUpstream(config: UpstreamConfig): Upstream & { fallbacks: Upstream[] } {
  const url = new URL(config.baseUrl)
  const ownHeaders = authHeaders(config)
  return {
    ...config,
    origin: url.origin,
    basePath: url.pathname.replace(/\/+$/, '').replace(/\/v1(?:beta)?$/, ''),
    ownHeaders,
    ownHeaderNames: new Set(ownHeaders.filter((_, index) => index % 2 === 0)),
    dispatcher: makeDispatcher(config.responseMsMax),
    breaker: makeBreaker(config.name, config.breakerSettings),
    fallbacks: [],
  }
}

interface Route {
  readonly upstream: Upstream
  readonly matches: (model: string) => boolean
  /** More is closer: names one model, then letters that are not `*`. */
  readonly closeness: number
}

const EXACT = 1_000

const routeOf = (upstream: Upstream, glob: string): Route => ({
  upstream,
  matches: compileGlob(glob),
  closeness: glob.replaceAll('*', '').length + (glob.includes('*') ? 0 : EXACT),
})

/** Connects lazily. TLS certificates are verified (undici's default, never turned off here). */
export function makeUpstreams(configs: readonly UpstreamConfig[]): Upstreams {
  const all = configs.map(makeUpstream)
  for (const upstream of all) {
    const named = upstream.fallback.map((name) => all.find((other) => other.name === name))
    upstream.fallbacks.push(...named.filter((other) => other !== undefined))
  }
  const routes = [
    ...all
      .flatMap((upstream) => (upstream.models ?? []).map((glob) => routeOf(upstream, glob)))
      .sort((a, b) => b.closeness - a.closeness),
    ...all.filter(({ models }) => models === null).map((upstream) => routeOf(upstream, '*')),
  ]
  return {
    all,
    choose: (family, model) =>
      routes.find((route) => route.upstream.protocol === family && route.matches(model))
        ?.upstream ?? null,
    close: async () => {
      for (const { breaker } of all) breaker.close()
      await Promise.all(all.map((upstream) => upstream.dispatcher.close()))
    },
    destroy: async () => {
      for (const { breaker } of all) breaker.close()
      await Promise.all(all.map((upstream) => upstream.dispatcher.destroy()))
    },
  }
}
