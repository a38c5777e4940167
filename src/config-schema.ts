import { z } from 'zod'
import { packsSchema, plansSchema, stripeConfigSchema } from './billing/config.ts'
import { creditsConfigSchema, priceConfigSchema, sellConfigSchema } from './pricing/config.ts'

const name = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'use a-z, 0-9, - and _')
const milliseconds = (min: number, max: number): z.ZodNumber => z.int().min(min).max(max)

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
})

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
  upstreams: z.record(name, upstreamSchema).default({}),
  prices: priceConfigSchema.prefault([]),
  sell: sellConfigSchema.prefault([]),
  packs: packsSchema.prefault([]),
  plans: plansSchema.prefault([]),
  stripe: stripeConfigSchema.prefault({}),
  receipts: z.strictObject({ show_provider_cost: z.boolean().default(true) }).prefault({}),
})

export type Config = z.infer<typeof configSchema>
export type UpstreamEntry = Config['upstreams'][string]
