import { z } from 'zod'
import { micros } from '../../kernel/money.ts'
import { featuresSchema } from './config.ts'

const names = z.array(z.string()).nullable().optional()
const count = z.number().nullable().optional()
const money = z.number().transform(micros).optional()

/** What an exception changes, as it is kept. What it leaves out stays; null = no limit. */
const keptPatch = z.object({
  /** A plan as if it were paid for. */
  plan: z.string().optional(),
  /** allow: lifts a suspension and gives the plan back that it took. */
  access: z.enum(['allow', 'suspend']).optional(),
  features: featuresSchema.optional(),
  models: names,
  endpoints: names,
  rates: z
    .object({ requests_per_minute: count, tokens_per_minute: count, max_concurrency: count })
    .partial()
    .optional(),
  credit_limit_micros: money,
  overage_limit_micros: money,
})

export const overrideRow = z
  .object({
    id: z.string(),
    patch: keptPatch,
    reason: z.string(),
    actor: z.string(),
    expires_at: z.number(),
    created_at: z.number(),
    removed_at: z.number().nullable(),
    removed_by: z.string().nullable(),
  })
  .transform((row) => ({
    id: row.id,
    patch: row.patch,
    reason: row.reason,
    actor: row.actor,
    expiresAtMs: row.expires_at,
    createdAtMs: row.created_at,
    removedAtMs: row.removed_at,
    removedBy: row.removed_by,
  }))

/** A comp or a support exception: for a reason, by somebody, until a day. */
export type Override = z.infer<typeof overrideRow>
