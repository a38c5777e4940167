import { z } from 'zod'
import { CHANGES_OVERLAP_MS } from '../kernel/limits/access.ts'
import { CLOCK_SKEW_MS_MAX } from '../kernel/limits/books.ts'
import { loadSql } from '../store/sql.ts'
import { fail, fine, warn } from './advice.ts'
import type { Advice, DoctorDeps } from './doctor.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['postgres-facts'])

const facts = z.object({
  version: z.number(),
  synchronous_commit: z.string(),
  fsync: z.string(),
  full_page_writes: z.string(),
  is_replica: z.boolean(),
  now: z.number(),
})

const VERSION_MIN = 150_000

export async function checkPostgres(deps: DoctorDeps): Promise<Advice[]> {
  const [row] = await deps.db.query(sql['postgres-facts'])
  const found = facts.parse(row)
  if (deps.db.kind === 'pglite') {
    const detail = 'embedded (PGlite): survives kill -9, not power loss; one process'
    return [warn('postgres', detail, 'Set DATABASE_URL before real money is at stake.')]
  }
  const version = `version ${Math.floor(found.version / 10_000)}`
  const advice = [
    found.version >= VERSION_MIN
      ? fine('postgres version', version)
      : fail('postgres version', version, 'Upgrade Postgres to 15 or later.'),
  ]
  if (found.is_replica) {
    advice.push(fail('postgres role', 'a replica', 'Point DATABASE_URL at the primary.'))
  }
  if (found.synchronous_commit === 'off') {
    const detail = 'synchronous_commit = off: charges that were confirmed can be lost'
    advice.push(fail('postgres durability', detail, 'ALTER SYSTEM SET synchronous_commit = on'))
  }
  for (const [name, value] of [
    ['fsync', found.fsync],
    ['full_page_writes', found.full_page_writes],
  ] as const) {
    if (value === 'on') continue
    const detail = `${name} = off: a crash of the machine can destroy the ledger`
    advice.push(fail('postgres durability', detail, `Set ${name} = on in postgresql.conf.`))
  }
  advice.push(fine('postgres pooling', (await deps.db.pooled()) ? POOLED : DIRECT))
  return advice
}

// Locks and settings end with their transaction, so that a transaction pooler may sit between.
const DIRECT =
  'connected directly; no session state is used, so a transaction pooler may come between'
const POOLED =
  'a pooler sits between: no session state is used, so transaction mode is right; statements are ' +
  'not kept prepared, and are planned each time'

/** Clocks of this process, Postgres and the engine: changes are found by time (`changed_at`). */
export async function checkClocks(deps: DoctorDeps): Promise<Advice[]> {
  const ask = async (name: string, read: () => Promise<number>): Promise<Advice> => {
    const beforeMs = deps.clock.now()
    const theirsMs = await read()
    const afterMs = deps.clock.now()
    // It was read at some time between: the least difference that this leaves.
    const skewMs = Math.max(0, theirsMs - afterMs, beforeMs - theirsMs)
    const detail = `${name} differs by ${skewMs} ms`
    const fix = 'Run NTP (chrony) on every machine.'
    if (skewMs > CHANGES_OVERLAP_MS / 2) return fail(`clock of ${name}`, detail, fix)
    return skewMs > CLOCK_SKEW_MS_MAX
      ? warn(`clock of ${name}`, detail, fix)
      : fine(`clock of ${name}`, detail)
  }
  const postgres = async (): Promise<number> => {
    const [row] = await deps.db.query(sql['postgres-facts'])
    return facts.parse(row).now
  }
  return [
    await ask('postgres', postgres),
    await ask('the credit engine', () => deps.engine.timeMs()),
  ]
}
