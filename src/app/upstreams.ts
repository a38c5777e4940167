import type { Config, Environment } from '../config.ts'
import {
  PROVIDER_URLS,
  type HttpUpstreamEntry,
  type ModelUpstreamEntry,
  type UpstreamEntry,
} from '../config-upstreams.ts'
import type { BreakerSettings } from '../gateway/breaker.ts'
import type { HttpApiConfig } from '../gateway/http/apis.ts'
import { parseJsonPath } from '../gateway/http/units.ts'
import type { UpstreamConfig } from '../gateway/upstreams.ts'

/** OpenAI's own API takes the new name of the field, servers that speak like it the old one. */
const limitFieldOf = (entry: ModelUpstreamEntry): string =>
  entry.output_limit_field ??
  (entry.protocol === 'openai' && new URL(entry.base_url).hostname === 'api.openai.com'
    ? 'max_completion_tokens'
    : 'max_tokens')

const breakerOf = ({ breaker }: UpstreamEntry): BreakerSettings => ({
  failurePercent: breaker.failure_percent,
  callsMin: breaker.calls_min,
  openMs: breaker.open_ms,
})

const upstreamOf = (name: string, entry: ModelUpstreamEntry): UpstreamConfig => ({
  name,
  protocol: entry.protocol,
  baseUrl: entry.base_url,
  apiKey: entry.api_key ?? null,
  models: entry.models ?? null,
  onDisconnect: entry.on_disconnect,
  unbounded: entry.unbounded,
  unboundedReserveTokens: entry.unbounded_reserve_tokens,
  outputLimitField: limitFieldOf(entry),
  storedIds: entry.stored_ids,
  responseMsMax: entry.response_ms_max,
  fallback: entry.fallback,
  breakerSettings: breakerOf(entry),
})

function unitsOf({ units }: HttpUpstreamEntry): HttpApiConfig['units'] {
  if (units === undefined) return null
  const missing = units.missing ?? units.max
  const path = units.json === undefined ? null : parseJsonPath(units.json)
  if (path !== null) return { source: { kind: 'json', path }, max: units.max, missing }
  return { source: { kind: 'header', name: units.header ?? '' }, max: units.max, missing }
}

function ownHeadersOf(entry: HttpUpstreamEntry): Record<string, string> {
  const { api_key: key, api_key_header: header, headers } = entry
  if (key === undefined) return headers
  return { ...headers, [header]: header === 'authorization' ? `Bearer ${key}` : key }
}

const httpApiOf = (name: string, entry: HttpUpstreamEntry): HttpApiConfig => ({
  name,
  baseUrl: entry.base_url,
  headers: ownHeadersOf(entry),
  methods: entry.methods ?? null,
  units: unitsOf(entry),
  requestBytesMax: entry.request_bytes_max,
  responseBytesMax: entry.response_bytes_max,
  secondsMax: entry.seconds_max,
  chargesErrors: entry.charge_errors,
  onDisconnect: entry.on_disconnect,
  responseMsMax: entry.response_ms_max,
  fallback: entry.fallback,
  breakerSettings: breakerOf(entry),
})

/** The configured upstreams of models as the gateway takes them. */
export const upstreamConfigs = (config: Config): UpstreamConfig[] =>
  Object.entries(config.upstreams).flatMap(([name, entry]) =>
    entry.protocol === 'http' ? [] : [upstreamOf(name, entry)],
  )

/** The configured HTTP APIs as the gateway takes them. */
export const httpApiConfigs = (config: Config): HttpApiConfig[] =>
  Object.entries(config.upstreams).flatMap(([name, entry]) =>
    entry.protocol === 'http' ? [httpApiOf(name, entry)] : [],
  )

/** Whose prices the demo takes. */
const CATALOGUES = { openai: 'openai', anthropic: 'anthropic', gemini: 'google' } as const
const NAMES = ['openai', 'anthropic', 'gemini'] as const

type ProviderName = (typeof NAMES)[number]

const keysOf = (environment: Environment): Record<ProviderName, string | null> => ({
  openai: environment.openaiApiKey,
  anthropic: environment.anthropicApiKey,
  gemini: environment.geminiApiKey,
})

const base = {
  unbounded: 'cap',
  unbounded_reserve_tokens: 16_384,
  stored_ids: 'own',
  response_ms_max: 600_000,
  fallback: [],
  breaker: { failure_percent: 50, calls_min: 20, open_ms: 10_000 },
} satisfies Partial<ModelUpstreamEntry>

/**
 * A configuration without upstreams gets the three providers: real where the environment has their
 * key, else played by the demo at `demoUrl`, at the real one's prices; null = left out.
 */
export function withDefaultUpstreams(
  config: Config,
  environment: Environment,
  demoUrl: string | null,
): Config {
  if (Object.keys(config.upstreams).length > 0) return config
  const keys = keysOf(environment)
  const upstreams: Config['upstreams'] = {}
  const prices = [...config.prices]
  for (const name of NAMES) {
    const key = keys[name]
    const onDisconnect = name === 'gemini' ? ('drain' as const) : ('abort' as const)
    const rest = { ...base, protocol: name, on_disconnect: onDisconnect }
    if (key !== null) {
      upstreams[name] = { ...rest, base_url: PROVIDER_URLS[name], api_key: key }
    } else if (demoUrl !== null) {
      upstreams[name] = { ...rest, base_url: demoUrl, catalogue: CATALOGUES[name] }
      prices.push({
        upstream: name,
        model: 'demo-*',
        input_usd_per_mtok: '1',
        output_usd_per_mtok: '4',
      })
    }
  }
  return { ...config, upstreams, prices }
}

/** Providers that the demo plays. */
export const demoNames = (environment: Environment): string[] =>
  NAMES.filter((name) => keysOf(environment)[name] === null)
