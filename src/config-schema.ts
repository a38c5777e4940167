import { z } from 'zod'
import { packsSchema, plansSchema, stripeConfigSchema } from './billing/config.ts'
import { notifyConfigSchema } from './notify/config.ts'
import { creditsConfigSchema, priceConfigSchema, sellConfigSchema } from './pricing/config.ts'

const name = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'use a-z, 0-9, - and _')
const milliseconds = (min: number, max: number): z.ZodNumber => z.int().min(min).max(max)

const breakerSchema = z.strictObject({
  failure_percent: z.int().min(1).max(99).default(50).describe('More failed calls open it.'),
  calls_min: z.int().min(1).max(100_000).default(20).describe('Of at least so many in 10 s.'),
  open_ms: milliseconds(100, 600_000).default(10_000).describe('Before one call may try again.'),
})

const upstreamSchema = z.strictObject({
  protocol: z.enum(['openai', 'anthropic']).describe('Which protocol it speaks.'),
  base_url: z
    .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
    .describe('Without the protocol’s path; a trailing /v1 is allowed.'),
  api_key: z.string().min(1).optional().describe('The operator’s own key. Use ${ENV}.'),
  models: z.array(z.string().min(1)).min(1).optional().describe('Globs of models it serves.'),
  catalogue: z.string().optional().describe('Provider id of the price catalogue; default by host.'),
  on_disconnect: z
    .enum(['abort', 'drain'])
    .default('abort')
    .describe('What happens to a stream whose client left.'),
  unbounded: z
    .enum(['deny', 'cap'])
    .default('cap')
    .describe('Requests whose body does not bound their cost: refuse, or reserve more.'),
  unbounded_reserve_tokens: z.int().min(0).max(10_000_000).default(16_384),
  output_limit_field: z.enum(['max_tokens', 'max_completion_tokens']).optional(),
  response_ms_max: milliseconds(1_000, 3_600_000).default(600_000),
  fallback: z
    .union([name.transform((one) => [one]), z.array(name).min(1).max(8)])
    .default([])
    .describe('Upstreams called in its place when it cannot be reached or is overloaded.'),
  breaker: breakerSchema.prefault({}),
})

type Upstreams = Record<string, z.output<typeof upstreamSchema>>

/** Stand-ins must exist, be others, and speak the same protocol. */
function checkFallbacks(upstreams: Upstreams, context: z.RefinementCtx): void {
  for (const [own, { fallback, protocol }] of Object.entries(upstreams)) {
    for (const other of fallback) {
      const found = upstreams[other]
      const wrong =
        found === undefined
          ? `there is no upstream "${other}"`
          : other === own
            ? 'an upstream cannot stand in for itself'
            : found.protocol === protocol
              ? null
              : `"${other}" speaks ${found.protocol}, not ${protocol}`
      if (wrong !== null)
        context.addIssue({ code: 'custom', path: [own, 'fallback'], message: wrong })
    }
  }
}

const holdsSchema = z.strictObject({
  lease_ms: milliseconds(3_000, 600_000).default(30_000),
  fit_to_balance: z.boolean().default(true),
  max_output_tokens_default: z.int().positive().nullable().default(4_096),
})

/** farebox.yaml. Source: design §10. */
export const configSchema = z.strictObject({
  credits: creditsConfigSchema.prefault({}),
  durability: z.enum(['posted', 'settled']).default('posted'),
  post_wait_ms: milliseconds(50, 60_000).default(2_000),
  idempotency_wait_ms: milliseconds(0, 300_000).default(60_000),
  shutdown_ms: milliseconds(0, 600_000).default(30_000),
  top_up_url: z.url().nullable().default(null),
  holds: holdsSchema.prefault({}),
  upstreams: z.record(name, upstreamSchema).superRefine(checkFallbacks).default({}),
  prices: priceConfigSchema.prefault([]),
  sell: sellConfigSchema.prefault([]),
  packs: packsSchema.prefault([]),
  plans: plansSchema.prefault([]),
  stripe: stripeConfigSchema.prefault({}),
  notify: notifyConfigSchema.prefault({}),
  receipts: z.strictObject({ show_provider_cost: z.boolean().default(true) }).prefault({}),
})

export type Config = z.infer<typeof configSchema>
export type UpstreamEntry = Config['upstreams'][string]
