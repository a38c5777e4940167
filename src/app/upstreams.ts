import type { Config, Environment } from '../config.ts'
import type { UpstreamEntry } from '../config-schema.ts'
import type { UpstreamConfig } from '../gateway/upstreams.ts'

/** OpenAI's own API takes the new name of the field, servers that speak like it the old one. */
const limitFieldOf = (entry: UpstreamEntry): string =>
  entry.output_limit_field ??
  (entry.protocol === 'openai' && new URL(entry.base_url).hostname === 'api.openai.com'
    ? 'max_completion_tokens'
    : 'max_tokens')

/** The configured upstreams as the gateway takes them. */
export function upstreamConfigs(config: Config): UpstreamConfig[] {
  return Object.entries(config.upstreams).map(([name, entry]) => ({
    name,
    protocol: entry.protocol,
    baseUrl: entry.base_url,
    apiKey: entry.api_key ?? null,
    models: entry.models ?? null,
    onDisconnect: entry.on_disconnect,
    unbounded: entry.unbounded,
    unboundedReserveTokens: entry.unbounded_reserve_tokens,
    outputLimitField: limitFieldOf(entry),
    responseMsMax: entry.response_ms_max,
    fallback: entry.fallback,
    breakerSettings: {
      failurePercent: entry.breaker.failure_percent,
      callsMin: entry.breaker.calls_min,
      openMs: entry.breaker.open_ms,
    },
  }))
}

const REAL = {
  openai: 'https://api.openai.com',
  anthropic: 'https://api.anthropic.com',
} as const

const base = {
  on_disconnect: 'abort',
  unbounded: 'cap',
  unbounded_reserve_tokens: 16_384,
  response_ms_max: 600_000,
  fallback: [],
  breaker: { failure_percent: 50, calls_min: 20, open_ms: 10_000 },
} satisfies Partial<UpstreamEntry>

/**
 * A configuration without upstreams gets the two providers: real where the environment has their
 * key, else played by the demo at `demoUrl`, at the real one's prices; null = left out.
 */
export function withDefaultUpstreams(
  config: Config,
  environment: Environment,
  demoUrl: string | null,
): Config {
  if (Object.keys(config.upstreams).length > 0) return config
  const keys = { openai: environment.openaiApiKey, anthropic: environment.anthropicApiKey }
  const upstreams: Config['upstreams'] = {}
  const prices = [...config.prices]
  for (const name of ['openai', 'anthropic'] as const) {
    const key = keys[name]
    if (key !== null) {
      upstreams[name] = { ...base, protocol: name, base_url: REAL[name], api_key: key }
    } else if (demoUrl !== null) {
      upstreams[name] = { ...base, protocol: name, base_url: demoUrl, catalogue: name }
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
export const demoNames = (environment: Environment): string[] => [
  ...(environment.openaiApiKey === null ? ['openai'] : []),
  ...(environment.anthropicApiKey === null ? ['anthropic'] : []),
]
