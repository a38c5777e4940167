import { z } from 'zod'
import { parseJsonPath } from './gateway/http/units.ts'

const name = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'use a-z, 0-9, - and _')
export const milliseconds = (min: number, max: number): z.ZodNumber => z.int().min(min).max(max)

const breakerSchema = z.strictObject({
  failure_percent: z.int().min(1).max(99).default(50).describe('More failed calls open it.'),
  calls_min: z.int().min(1).max(100_000).default(20).describe('Of at least so many in 10 s.'),
  open_ms: milliseconds(100, 600_000).default(10_000).describe('Before one call may try again.'),
})

/** What a base URL says beyond scheme, host and path would be left out without a word. */
const hasOnlyPath = (text: string): boolean => {
  const url = URL.parse(text)
  return url === null || `${url.username}${url.password}${url.search}${url.hash}` === ''
}

const baseUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .refine(hasOnlyPath, { error: 'takes no login, query or fragment; a key goes into api_key' })
const apiKey = z
  .string()
  .min(1, { error: 'is empty: set its variable, or leave the upstream out' })
  .optional()
  .describe('The operator’s own key. Use ${ENV}.')
const responseMsMax = milliseconds(1_000, 3_600_000).default(600_000)

/** Where the providers of a protocol answer themselves. */
export const PROVIDER_URLS = {
  openai: 'https://api.openai.com',
  anthropic: 'https://api.anthropic.com',
  gemini: 'https://generativelanguage.googleapis.com',
} as const

const fallback = z
  .union([name.transform((one) => [one]), z.array(name).min(1).max(8)])
  .default([])
  .describe('Upstreams called in its place when it cannot be reached or is overloaded.')

const modelUpstreamFields = z.strictObject({
  protocol: z.enum(['openai', 'anthropic', 'gemini']).describe('Which protocol it speaks.'),
  base_url: baseUrl
    .optional()
    .describe('Without the protocol’s path, or with /v1 or /v1beta. Default: the provider’s own.'),
  api_key: apiKey,
  models: z.array(z.string().min(1)).min(1).optional().describe('Globs of models it serves.'),
  catalogue: z.string().optional().describe('Provider id of the price catalogue; default by host.'),
  on_disconnect: z
    .enum(['abort', 'drain'])
    .optional()
    .describe('What happens to a stream whose client left. Default: abort; for gemini drain.'),
  unbounded: z
    .enum(['deny', 'window', 'cap'])
    .default('cap')
    .describe(
      'Requests whose body does not bound their cost: refuse; reserve the model’s context for ' +
        'each tool call; or reserve unbounded_reserve_tokens.',
    ),
  unbounded_reserve_tokens: z.int().min(0).max(10_000_000).default(16_384),
  stored_ids: z
    .enum(['own', 'any'])
    .default('own')
    .describe(
      'Which stored responses a request may go on from; any: conversations and files by id too.',
    ),
  output_limit_field: z.enum(['max_tokens', 'max_completion_tokens']).optional(),
  response_ms_max: responseMsMax,
  fallback,
  breaker: breakerSchema.prefault({}),
})

/** What follows from the protocol where nothing is said. Source: providers.md §1 (client gone). */
const modelUpstreamSchema = modelUpstreamFields.transform((entry) => ({
  ...entry,
  base_url: entry.base_url ?? PROVIDER_URLS[entry.protocol],
  on_disconnect: entry.on_disconnect ?? (entry.protocol === 'gemini' ? 'drain' : 'abort'),
}))

const headerName = z
  .string()
  .regex(/^[A-Za-z0-9-]{1,64}$/, 'must be a header’s name')
  .transform((text) => text.toLowerCase())
const count = z.number().min(0).max(1e12)

const unitsSchema = z
  .strictObject({
    json: z
      .string()
      .refine((text) => parseJsonPath(text) !== null, 'must be a path like "usage.items[0].count"')
      .optional()
      .describe('Where the number is in a JSON answer, or in the last event that has it.'),
    header: headerName.optional().describe('Which response header has the number.'),
    max: count.describe('The most one request may count: so much is held.'),
    missing: count.optional().describe('What counts where an answer names none; default max.'),
  })
  .refine(({ json, header }) => (json === undefined) !== (header === undefined), {
    error: 'name either json or header',
  })

const METHOD = /^[A-Z][A-Z-]{0,19}$/

const httpUpstreamSchema = z.strictObject({
  protocol: z.literal('http'),
  base_url: baseUrl.describe('Everything below it is reachable at /up/<name>/.'),
  api_key: apiKey,
  api_key_header: headerName
    .default('authorization')
    .describe('Which header takes the key; authorization takes it as Bearer.'),
  headers: z.record(headerName, z.string()).default({}).describe('Sent with every request.'),
  methods: z.array(z.string().regex(METHOD, 'like "GET"')).min(1).optional(),
  units: unitsSchema.optional().describe('What the answer says it used: per_unit_usd.'),
  request_bytes_max: z.int().min(0).max(2_000_000_000).default(33_554_432),
  response_bytes_max: z.int().min(0).max(20_000_000_000).default(104_857_600),
  seconds_max: z.int().min(1).max(86_400).default(600),
  charge_errors: z.boolean().default(false).describe('Whether answers of 400 and above cost.'),
  on_disconnect: z.enum(['abort', 'drain']).default('drain'),
  response_ms_max: responseMsMax,
  fallback,
  breaker: breakerSchema.prefault({}),
})

const upstreamSchema = z.discriminatedUnion('protocol', [modelUpstreamSchema, httpUpstreamSchema])

export type ModelUpstreamEntry = z.output<typeof modelUpstreamSchema>
export type HttpUpstreamEntry = z.output<typeof httpUpstreamSchema>
export type UpstreamEntry = z.output<typeof upstreamSchema>
type Upstreams = Readonly<Record<string, UpstreamEntry>>

function wrongFallback(upstreams: Upstreams, own: string, other: string): string | null {
  const found = Object.hasOwn(upstreams, other) ? upstreams[other] : undefined
  const protocol = upstreams[own]?.protocol
  if (found === undefined) return `there is no upstream "${other}"`
  if (other === own) return 'an upstream cannot stand in for itself'
  if (found.protocol === protocol) return null
  return `"${other}" speaks ${found.protocol}, not ${String(protocol)}`
}

/**
 * Stand-ins must exist, be others, and speak the same protocol. Two may stand in for each other:
 * those of a stand-in are never called in its place.
 */
function checkFallbacks(upstreams: Upstreams, context: z.RefinementCtx): void {
  for (const [own, { fallback: named }] of Object.entries(upstreams)) {
    for (const [index, other] of named.entries()) {
      const isTwice = named.indexOf(other) !== index
      const message = isTwice ? `"${other}" is named twice` : wrongFallback(upstreams, own, other)
      if (message !== null) {
        context.addIssue({ code: 'custom', path: [own, 'fallback'], message })
      }
    }
  }
}

export const upstreamsSchema = z.record(name, upstreamSchema).superRefine(checkFallbacks)

interface Priced {
  readonly upstream?: string | undefined
}

/** A price per unit of an API whose answers name none would never be charged. */
export function checkUnitPrices(
  config: { upstreams: Upstreams; prices: readonly Priced[]; sell: readonly Priced[] },
  context: z.RefinementCtx,
): void {
  for (const list of ['prices', 'sell'] as const) {
    for (const [index, entry] of config[list].entries()) {
      const upstream = config.upstreams[entry.upstream ?? '']
      if (upstream?.protocol !== 'http' || upstream.units !== undefined) continue
      const key = ['per_unit_usd', 'credits_per_unit'].find((one) => one in entry)
      if (key === undefined) continue
      const message = `"${String(entry.upstream)}" has no units: say where its answers name them`
      context.addIssue({ code: 'custom', path: [list, index, key], message })
    }
  }
}
