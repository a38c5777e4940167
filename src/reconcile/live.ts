import { z } from 'zod'
import type { AccountView, HoldView, KeyView } from '../credits/commands.ts'
import { micros } from '../kernel/money.ts'

/** The rules that tie the credit engine to Postgres, as pure functions. Source: design §6. */
export interface Suspicion {
  readonly invariant: 'I2' | 'I7' | 'I8' | 'I10'
  /** Which copy differs, where it is not the engine's. */
  readonly copy?: 'stored' | 'cached'
  readonly subject: string
  readonly detail: string
}

const money = z.number().transform(micros)

/** lock-account.sql */
export const lockedAccount = z.object({
  id: z.string(),
  posted_micros: money,
  debt_micros: money,
  /** The account's own and its plan's overage. */
  limit_micros: money,
  status: z.enum(['active', 'frozen', 'suspended']),
  version: z.number(),
  change_seq: z.number(),
  changed_at: z.number(),
})
export type LockedAccount = z.infer<typeof lockedAccount>

/** plan-limits.sql */
export const planLimits = z.object({
  is_blocked: z.boolean(),
  credit_limit_micros: money,
  requests_per_minute: z.number().nullable(),
  tokens_per_minute: z.number().nullable(),
  max_concurrency: z.number().nullable(),
})
export type PlanLimits = z.infer<typeof planLimits>

/** An account as its plan lets it be. */
export function withPlan(account: LockedAccount, plan: PlanLimits | null): LockedAccount {
  if (plan === null) return account
  const limit = account.limit_micros + plan.credit_limit_micros
  return {
    ...account,
    status: account.status === 'active' && plan.is_blocked ? 'suspended' : account.status,
    limit_micros: micros(Math.min(limit, Number.MAX_SAFE_INTEGER)),
  }
}

/** account-keys.sql */
export const storedKey = z.object({
  id: z.string(),
  status: z.enum(['active', 'revoked']),
  budget_micros: money.nullable(),
  requests_per_minute: z.number().nullable(),
  tokens_per_minute: z.number().nullable(),
  max_concurrency: z.number().nullable(),
  change_seq: z.number(),
  models: z.array(z.string()).nullable(),
  endpoints: z.array(z.string()).nullable(),
})
export type StoredKey = z.infer<typeof storedKey>

/** Version of the latest posting of each hold that is in `usage`. */
export type PostedVersions = ReadonlyMap<string, number>

/**
 * What a settled hold still takes from `available`: nothing once it was posted after the load (the
 * engine took it when it settled, Postgres since); its amount while it is not posted, and while a
 * load that already contained its posting has not given it back.
 */
const countsIn = (
  hold: HoldView,
  view: Pick<AccountView, 'loadVersion'>,
  posted: PostedVersions,
): boolean => {
  if (hold.state === 'held') return true
  const version = posted.get(hold.holdId)
  return version === undefined || version <= view.loadVersion
}

const sum = (holds: readonly HoldView[]): number =>
  holds.reduce((total, hold) => total + hold.micros, 0)

/** I2: available = posted − HELD − SETTLED not yet posted. Only once `change_seq` agrees. */
export function checkAvailable(
  account: LockedAccount,
  view: AccountView,
  posted: PostedVersions,
): Suspicion[] {
  const counted = view.holds.filter((hold) => countsIn(hold, view, posted))
  const expected = account.posted_micros - sum(counted)
  if (expected === view.availableMicros) return []
  const by = view.availableMicros - expected
  const held = sum(counted.filter((hold) => hold.state === 'held'))
  const settled = sum(counted) - held
  const terms = `posted ${account.posted_micros} − held ${held} − settled ${settled}`
  const detail = `available ${view.availableMicros} is ${by} off ${terms}`
  return [{ invariant: 'I2', subject: account.id, detail }]
}

/** I7: no hold outlives its lease by more than three sweeps. `nowMs` is the engine's. */
export function checkLeases(view: AccountView, nowMs: number, sweepMs: number): Suspicion[] {
  const latestMs = nowMs - 3 * sweepMs
  return view.holds
    .filter((hold) => hold.deadlineMs < latestMs)
    .map((hold) => ({
      invariant: 'I7',
      subject: hold.holdId,
      detail: `${hold.state} (${hold.micros}) ${nowMs - hold.deadlineMs} ms past its lease`,
    }))
}

/**
 * I8 as far as it can be seen afterwards. Charges, clawbacks, expiry and lowered limits may take
 * what is left below −limit and are no breach. So it is one only where the *holds* take it there
 * (without them there would be enough) and nothing else can have: since the first of these holds
 * was made no entry was posted, no charge settled and the account not changed.
 */
export function checkReservations(
  account: LockedAccount,
  view: AccountView,
  newestEntryMs: number | null,
): Suspicion[] {
  const held = view.holds.filter((hold) => hold.state === 'held')
  const before = view.availableMicros + sum(held)
  const floor = 0 - view.creditLimitMicros
  if (held.length === 0 || view.availableMicros >= floor || before < floor) return []
  const firstMs = Math.min(...held.map((hold) => madeAtMs(hold.holdId)))
  const isQuiet = Math.max(newestEntryMs ?? 0, account.changed_at) < firstMs
  if (!isQuiet || held.length < view.holds.length) return []
  const detail = `${held.length} holds of ${sum(held)} took ${before} below ${floor}`
  return [{ invariant: 'I8', subject: account.id, detail }]
}

/** Unix ms in the first 48 bits of a UUIDv7; 0 for another id. */
function madeAtMs(holdId: string): number {
  const ms = Number.parseInt(holdId.replaceAll('-', '').slice(0, 12), 16)
  return Number.isNaN(ms) ? 0 : ms
}

/** I10 for the account: what the hot path believes equals what Postgres says. */
export function checkAccountFields(
  account: LockedAccount,
  view: AccountView,
  plan: PlanLimits | null = null,
): Suspicion[] {
  const fields: [string, unknown, unknown][] = [
    ['change_seq', view.changeSeq, account.change_seq],
    ['status', view.status, account.status],
    ['credit limit', view.creditLimitMicros, account.limit_micros],
    ['requests a minute', view.requestsPerMinute, plan?.requests_per_minute ?? null],
    ['tokens a minute', view.tokensPerMinute, plan?.tokens_per_minute ?? null],
    ['concurrency', view.maxConcurrency, plan?.max_concurrency ?? null],
  ]
  return differing(account.id, fields)
}

/** I10 for a key. */
export function checkKeyFields(key: StoredKey, view: KeyView): Suspicion[] {
  return differing(key.id, [
    ['change_seq', view.changeSeq, key.change_seq],
    ['status', view.status, key.status],
    ['budget', view.budgetMicros, key.budget_micros],
    ['requests a minute', view.requestsPerMinute, key.requests_per_minute],
    ['tokens a minute', view.tokensPerMinute, key.tokens_per_minute],
    ['concurrency', view.maxConcurrency, key.max_concurrency],
  ])
}

/**
 * I10 for what a key has spent of its budget: posted in the period, and what live holds count in
 * it. `postedMicros` is of days from the view's own first one.
 */
export function checkKeySpend(
  view: KeyView,
  postedMicros: number,
  posted: PostedVersions,
): Suspicion[] {
  const inPeriod = view.holds.filter(({ day }) => day >= view.periodStartDay)
  const live = sum(inPeriod.filter((hold) => countsIn(hold, view, posted)))
  return differing(view.keyId, [['spend', view.spendMicros, postedMicros + live]])
}

function differing(subject: string, fields: readonly [string, unknown, unknown][]): Suspicion[] {
  const different = fields.filter(([, engine, postgres]) => engine !== postgres)
  if (different.length === 0) return []
  const texts = different.map(
    ([name, engine, postgres]) => `${name} is ${String(engine)}, in Postgres ${String(postgres)}`,
  )
  return [{ invariant: 'I10', subject, detail: texts.join('; ') }]
}
