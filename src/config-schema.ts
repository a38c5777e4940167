import { z } from 'zod'
import { checkUnitPrices, milliseconds, upstreamsSchema } from './config-upstreams.ts'
import { accessConfigSchema, checkDefaultPlan, plansSchema } from './access/plans/config.ts'
import { packsSchema, stripeConfigSchema } from './billing/config.ts'
import { notifyConfigSchema } from './notify/config.ts'
import { costsConfigSchema } from './reconcile/costs/config.ts'
import { checkMeters, metersSchema } from './reporting/config.ts'
import {
  creditsAboveZero,
  creditsConfigSchema,
  priceConfigSchema,
  sellConfigSchema,
} from './pricing/config.ts'

const holdsSchema = z.strictObject({
  lease_ms: milliseconds(3_000, 600_000).default(30_000),
  fit_to_balance: z.boolean().default(true),
  max_output_tokens_default: z.int().positive().nullable().default(4_096),
})

const subjectsSchema = z.strictObject({
  create: z
    .boolean()
    .default(false)
    .describe('A backend key may name a subject that nobody has: it gets an account.'),
  starter_credits: creditsAboveZero.optional().describe('Promo credits of such an account.'),
  starter_expires_days: z.int().positive().max(36_500).optional(),
})

const fields = z.strictObject({
  credits: creditsConfigSchema.prefault({}),
  durability: z.enum(['posted', 'settled']).default('posted'),
  post_wait_ms: milliseconds(50, 60_000).default(2_000),
  idempotency_wait_ms: milliseconds(0, 300_000).default(60_000),
  shutdown_ms: milliseconds(0, 600_000).default(30_000),
  top_up_url: z.url().nullable().default(null),
  public_url: z
    .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
    .nullable()
    .default(null)
    .describe('Where customers reach this server: what links in mails begin with.'),
  claims: z
    .strictObject({
      link_days: z
        .int()
        .min(1)
        .max(365)
        .default(7)
        .describe('How long a link shows its key, from its sending.'),
    })
    .prefault({}),
  holds: holdsSchema.prefault({}),
  upstreams: upstreamsSchema.default({}),
  prices: priceConfigSchema.prefault([]),
  sell: sellConfigSchema.prefault([]),
  packs: packsSchema.prefault([]),
  plans: plansSchema.prefault([]),
  access: accessConfigSchema.prefault({}),
  meters: metersSchema.default({}),
  stripe: stripeConfigSchema.prefault({}),
  subjects: subjectsSchema.prefault({}),
  notify: notifyConfigSchema.prefault({}),
  reconcile: z
    .strictObject({
      costs: costsConfigSchema
        .default({})
        .describe('Exports of what providers bill, by name: farebox reconcile --costs.'),
    })
    .prefault({}),
  receipts: z.strictObject({ show_provider_cost: z.boolean().default(true) }).prefault({}),
})

const hasKeys = (sold: readonly { readonly issue_key?: unknown }[]): boolean =>
  sold.some((one) => one.issue_key !== undefined)

/** farebox.yaml. Source: design §10. */
export const configSchema = fields
  .superRefine(checkUnitPrices)
  .superRefine(checkDefaultPlan)
  .superRefine(checkMeters)
  .refine(({ packs, plans, public_url: url }) => url !== null || !hasKeys([...packs, ...plans]), {
    error: 'keys that come with a purchase (issue_key) are claimed by a link: say where',
    path: ['public_url'],
  })

export type Config = z.infer<typeof configSchema>

/** The configuration as JSON Schema, for editors. Source: design §10. */
export const configJsonSchema = (): z.core.JSONSchema.JSONSchema =>
  z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' })
