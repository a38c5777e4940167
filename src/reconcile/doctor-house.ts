import { z } from 'zod'
import { ADMIN_TOKEN_CHARS_MIN } from '../kernel/limits/access.ts'
import { MODELS_IN_USE_MAX, MODELS_IN_USE_MS } from '../kernel/limits/models.ts'
import { appliedMigrations } from '../store/migrate.ts'
import { loadSql } from '../store/sql.ts'
import { fail, fine, warn } from './advice.ts'
import type { Advice, DoctorDeps } from './doctor.ts'
import { firstIdOf } from './hold-id.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['models-in-use', 'open-findings'])

export async function checkMigrations(deps: DoctorDeps): Promise<Advice[]> {
  const applied = new Set(await appliedMigrations(deps.db))
  const missing = deps.migrations.filter((name) => !applied.has(name))
  const newer = [...applied].filter((name) => !deps.migrations.includes(name))
  if (missing.length > 0) {
    return [fail('migrations', `not applied: ${missing.join(', ')}`, 'Run farebox migrate.')]
  }
  if (newer.length > 0) {
    const detail = `the database is newer than this program: ${newer.join(', ')}`
    return [warn('migrations', detail, 'Finish the rollout: start the new version everywhere.')]
  }
  return [fine('migrations', `${applied.size} applied`)]
}

const inUse = z.object({ upstream: z.string(), model: z.string(), requests: z.number() })

function checkUpstreams({ unpriced }: DoctorDeps): Advice[] {
  const fix = "Add prices for its models to farebox.yaml, or name its provider's `catalogue` there."
  return unpriced().map((upstream) =>
    warn('prices', `no model of the upstream ${upstream} has one: its requests are refused`, fix),
  )
}

export async function checkPrices(deps: DoctorDeps): Promise<Advice[]> {
  const since = firstIdOf(deps.clock.now() - MODELS_IN_USE_MS)
  const rows = await deps.db.query(sql['models-in-use'], [since, MODELS_IN_USE_MAX])
  const models = rows.map((row) => inUse.parse(row))
  const priceless = models.filter(({ upstream, model }) => !deps.hasPrice(upstream, model))
  const unpriced = checkUpstreams(deps)
  if (priceless.length === 0) {
    if (unpriced.length > 0) return unpriced
    return [fine('prices', `all ${models.length} models of the last 7 days have one`)]
  }
  const names = priceless.map(({ upstream, model }) => `${upstream}/${model}`).join(', ')
  const fix = 'Add them to prices in farebox.yaml or with PUT /admin/v1/prices.'
  return [warn('prices', `no price any more, so refused: ${names}`, fix), ...unpriced]
}

const counted = z.object({ urgent: z.number(), open: z.number() })

export async function checkFindings(deps: DoctorDeps): Promise<Advice[]> {
  const [row] = await deps.db.query(sql['open-findings'])
  const { urgent, open } = counted.parse(row)
  if (open === 0) return [fine('findings', 'none open')]
  const detail = `${open} open, ${urgent} urgent`
  const fix = 'Read GET /admin/v1/findings: each one needs a person.'
  return [urgent > 0 ? fail('findings', detail, fix) : warn('findings', detail, fix)]
}

/** Rough strength: length, and more than a few characters over and over. */
export function checkAdminToken(deps: Pick<DoctorDeps, 'adminToken'>): Promise<Advice[]> {
  const { adminToken } = deps
  const name = 'admin token'
  const fix = 'Set FAREBOX_ADMIN_TOKEN to the output of: openssl rand -hex 32'
  if (adminToken === null) {
    return Promise.resolve([warn(name, 'not set: the admin API is off', fix)])
  }
  if (adminToken.length < ADMIN_TOKEN_CHARS_MIN) {
    return Promise.resolve([fail(name, 'too short: the admin API is off', fix)])
  }
  const isWeak = adminToken.length < 2 * ADMIN_TOKEN_CHARS_MIN || new Set(adminToken).size < 10
  return Promise.resolve([isWeak ? warn(name, 'guessable', fix) : fine(name, 'strong')])
}
