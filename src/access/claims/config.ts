import { z } from 'zod'
import type { KeyLimits } from '../rows.ts'
import { creditsAmount } from '../../pricing/config.ts'

const names = z.array(z.string().trim().min(1).max(256)).min(1).max(100)
const atLeastOne = z.int().positive().max(2_000_000_000)

/** A client key that comes with a pack or a plan: one for each purchase, claimed by a link. */
export const issueKeySchema = z
  .strictObject({
    name: z.string().trim().min(1).max(500).describe('What the key is called.'),
    models: names.optional().describe('Like "gpt-*"; absent = every model.'),
    endpoints: names.optional(),
    budget: z
      .strictObject({ credits: creditsAmount, period: z.enum(['day', 'week', 'month', 'total']) })
      .optional()
      .describe('The most it spends, of what its account has.'),
    rate: z
      .strictObject({
        requests_per_minute: atLeastOne.optional(),
        tokens_per_minute: atLeastOne.optional(),
      })
      .optional(),
    max_concurrency: atLeastOne.optional(),
  })
  .transform((given): KeyLimits => ({
    name: given.name,
    models: given.models ?? null,
    endpoints: given.endpoints ?? null,
    budget:
      given.budget === undefined
        ? null
        : { micros: given.budget.credits, period: given.budget.period },
    requestsPerMinute: given.rate?.requests_per_minute ?? null,
    tokensPerMinute: given.rate?.tokens_per_minute ?? null,
    maxConcurrency: given.max_concurrency ?? null,
    expiresAtMs: null,
  }))
