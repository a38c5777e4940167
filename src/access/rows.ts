import { z } from 'zod'
import { micros } from '../kernel/money.ts'

/** Rows of accounts and api_keys as the program sees them: times in Unix ms, money in micros. */
const money = z.number().transform(micros)
const names = z.array(z.string()).nullable()

export const accountRow = z
  .object({
    id: z.string(),
    subject_ref: z.string().nullable(),
    name: z.string(),
    email: z.string().nullable(),
    stripe_customer_id: z.string().nullable(),
    status: z.enum(['active', 'frozen', 'suspended']),
    status_reason: z.string().nullable(),
    credit_limit_micros: money,
    overage_limit_micros: money,
    markup: z.string().nullable(),
    posted_micros: money,
    debt_micros: money,
    overage_micros: money,
    change_seq: z.number(),
    changed_at: z.number(),
    created_at: z.number(),
  })
  .transform((row) => ({
    id: row.id,
    subjectRef: row.subject_ref,
    name: row.name,
    email: row.email,
    stripeCustomerId: row.stripe_customer_id,
    status: row.status,
    statusReason: row.status_reason,
    creditLimitMicros: row.credit_limit_micros,
    overageLimitMicros: row.overage_limit_micros,
    markup: row.markup,
    postedMicros: row.posted_micros,
    debtMicros: row.debt_micros,
    overageMicros: row.overage_micros,
    changeSeq: row.change_seq,
    changedAtMs: row.changed_at,
    createdAtMs: row.created_at,
  }))

export type Account = z.infer<typeof accountRow>

export const keyRow = z
  .object({
    id: z.string(),
    account_id: z.string().nullable(),
    kind: z.enum(['client', 'backend']),
    name: z.string(),
    prefix: z.string(),
    status: z.enum(['active', 'revoked']),
    models: names,
    endpoints: names,
    budget_micros: money.nullable(),
    budget_period: z.enum(['day', 'week', 'month', 'total']).nullable(),
    requests_per_minute: z.number().nullable(),
    tokens_per_minute: z.number().nullable(),
    max_concurrency: z.number().nullable(),
    expires_at: z.number().nullable(),
    change_seq: z.number(),
    created_at: z.number(),
    revoked_at: z.number().nullable(),
  })
  .transform((row) => ({
    id: row.id,
    accountId: row.account_id,
    kind: row.kind,
    prefix: row.prefix,
    status: row.status,
    limits: {
      name: row.name,
      models: row.models,
      endpoints: row.endpoints,
      budget:
        row.budget_micros === null || row.budget_period === null
          ? null
          : { micros: row.budget_micros, period: row.budget_period },
      requestsPerMinute: row.requests_per_minute,
      tokensPerMinute: row.tokens_per_minute,
      maxConcurrency: row.max_concurrency,
      expiresAtMs: row.expires_at,
    },
    changeSeq: row.change_seq,
    createdAtMs: row.created_at,
    revokedAtMs: row.revoked_at,
  }))

/** What a key is called and may do, kept as JSON where there is no key yet. */
export const keyLimits = z.object({
  name: z.string(),
  models: names,
  endpoints: names,
  budget: z.object({ micros: money, period: z.enum(['day', 'week', 'month', 'total']) }).nullable(),
  requestsPerMinute: z.number().nullable(),
  tokensPerMinute: z.number().nullable(),
  maxConcurrency: z.number().nullable(),
  expiresAtMs: z.number().nullable(),
})

/** A key without its secret. */
export type Key = z.infer<typeof keyRow>
/** What a key is called and may do; null = no limit. */
export type KeyLimits = Key['limits']

/** A key that may do what its account may. */
export const NO_LIMITS: KeyLimits = {
  name: '',
  models: null,
  endpoints: null,
  budget: null,
  requestsPerMinute: null,
  tokensPerMinute: null,
  maxConcurrency: null,
  expiresAtMs: null,
}
