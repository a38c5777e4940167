import { z } from 'zod'
import type { CreditEngine } from '../credits/commands.ts'
import type { Clock } from '../kernel/clock.ts'
import { describeError } from '../kernel/log.ts'
import type { Db } from '../store/db.ts'
import type { RedisNodes } from '../store/redis-nodes.ts'
import { checkAdminToken, checkFindings, checkMigrations, checkPrices } from './doctor-house.ts'
import { checkClocks, checkPostgres } from './doctor-postgres.ts'
import { checkRedis, checkScripts } from './doctor-redis.ts'
import { checkStripe, type StripeExpected } from './doctor-stripe.ts'

const advice = z.object({
  check: z.string(),
  status: z.enum(['ok', 'warn', 'fail']),
  detail: z.string(),
  /** What to do; empty where nothing is to be done. */
  fix: z.string(),
})
export type Advice = z.infer<typeof advice>

export const doctorReport = z.object({ ok: z.boolean(), findings: z.array(advice) })
export type DoctorReport = z.infer<typeof doctorReport>

export interface DoctorDeps {
  readonly db: Db
  readonly engine: CreditEngine
  /** null = embedded engine. */
  readonly redis: Pick<RedisNodes, 'all'> | null
  /** The scripts of this version; absent = not looked for. */
  readonly scripts?: { readonly digest: string; shas(incarnation: number): readonly string[] }
  readonly clock: Clock
  readonly adminToken: string | null
  /** Whether a model has a price now. */
  readonly hasPrice: (upstream: string, model: string) => boolean
  /** Configured upstreams of which no model has a price. */
  readonly unpriced: () => readonly string[]
  /** Names of the migrations this program brings. */
  readonly migrations: readonly string[]
  /** null = no Stripe key is set. */
  readonly stripe: StripeExpected | null
}

type Check = (deps: DoctorDeps) => Promise<readonly Advice[]>

const CHECKS: Readonly<Record<string, Check>> = {
  postgres: checkPostgres,
  redis: checkRedis,
  clocks: checkClocks,
  migrations: checkMigrations,
  'credit scripts': checkScripts,
  prices: checkPrices,
  findings: checkFindings,
  'admin token': checkAdminToken,
  stripe: ({ stripe }) => checkStripe(stripe),
}
/** What reads our tables, which are not there, or other ones, while migrations are due. */
const OF_TABLES = ['credit scripts', 'prices', 'findings']

const unreachable = (check: string, error: unknown): Advice => ({
  check,
  status: 'fail',
  detail: describeError(error),
  fix: 'Make the store reachable from here and ask again.',
})

/** Looks at how everything is set up; each finding says what to do. `ok` = nothing failed. */
export function makeDoctor(deps: DoctorDeps): () => Promise<DoctorReport> {
  return async () => {
    const findings: Advice[] = []
    const isDue = () => findings.some((one) => one.check === 'migrations' && one.status === 'fail')
    for (const [name, check] of Object.entries(CHECKS)) {
      if (OF_TABLES.includes(name) && isDue()) continue
      try {
        findings.push(...(await check(deps)))
      } catch (error) {
        findings.push(unreachable(name, error))
      }
    }
    return { ok: findings.every(({ status }) => status !== 'fail'), findings }
  }
}
