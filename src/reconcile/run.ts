import { z } from 'zod'
import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import {
  RECONCILE_LEASE_MS,
  RECONCILE_PAGE_TRIES_MAX,
  RECONCILE_QUARANTINE_MS,
  RECONCILE_STEP_MS,
} from '../kernel/limits/books.ts'
import { describeError } from '../kernel/log.ts'
import type { Db } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'
import type { Check } from './check.ts'
import type { Drift, Drifts } from './drift.ts'
import type { RepairOne } from './repair.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'begin-run',
  'take-run',
  'save-run',
  'last-run',
])

const options = z.object({
  kind: z.enum(['manual', 'hourly', 'nightly']),
  /** Payments made since, Unix ms; null = all. */
  since_ms: z.number().nullable(),
  fix: z.boolean(),
})
export type RunOptions = z.infer<typeof options>

const runRow = z.object({
  id: z.string(),
  options,
  check_no: z.number(),
  check_name: z.string().nullable(),
  failures: z.number(),
  cursor: z.string().nullable(),
  seen: z.number(),
  found: z.number(),
  fixed: z.number(),
  started_at: z.number(),
  finished_at: z.number().nullable(),
  nightly_at: z.number().nullable(),
})
type Run = z.infer<typeof runRow>

export interface Progress {
  readonly id: string
  readonly kind: RunOptions['kind']
  /** What it is at; null = it is done. */
  readonly check: string | null
  readonly checks: number
  readonly checkNo: number
  readonly seen: number
  readonly found: number
  readonly fixed: number
  readonly startedMs: number
  readonly finishedMs: number | null
  /** When the last nightly run began; null = there was none. */
  readonly nightlyMs: number | null
}

/** Compares the books, a step at a time: whoever calls carries on where the last one stopped. */
export interface Reconcile {
  /**
   * Begins a run; null = one is under way, whether somebody is at it or not. Where the last one has
   * the same `id`, that is answered.
   */
  begin(given: RunOptions, id?: string): Promise<Progress | null>
  /** Carries the run under way on for a while. null = there is none, or somebody is at it. */
  step(): Promise<Progress | null>
  last(): Promise<Progress | null>
}

export interface ReconcileDeps {
  readonly db: Db
  readonly ids: Ids
  readonly clock: Clock
  readonly checks: () => readonly Check[]
  readonly drifts: Drifts
  /** Puts one drift right, looks again, and writes both into the audit log. */
  readonly repair: RepairOne
  readonly quarantineMs?: number
}

const date = (ms: number | null): Date | null => (ms === null ? null : new Date(ms))

function progressOf(checks: readonly Check[], run: Run): Progress {
  return {
    ...{ id: run.id, kind: run.options.kind, checks: checks.length, checkNo: run.check_no },
    check: run.finished_at === null ? (checks[run.check_no]?.name ?? null) : null,
    ...{ seen: run.seen, found: run.found, fixed: run.fixed },
    ...{ startedMs: run.started_at, finishedMs: run.finished_at, nightlyMs: run.nightly_at },
  }
}

/** false = the lease is lost: another process goes on with it. */
async function save(
  { db, clock, checks }: ReconcileDeps,
  run: Run,
  lease: string,
  letGo: boolean,
): Promise<boolean> {
  const until = new Date(clock.now() + RECONCILE_LEASE_MS)
  const name = run.finished_at === null ? (checks()[run.check_no]?.name ?? null) : null
  const rows = await db.query(sql['save-run'], [
    ...[lease, until, run.check_no, run.cursor, run.seen, run.found, run.fixed],
    ...[date(run.finished_at), letGo, name, run.failures],
  ])
  return rows.length > 0
}

/** A lease that is kept while a page takes its time. */
interface HeldLease {
  readonly id: string
  /** Somebody else has it: nothing is to be mended any more. */
  isLost(): boolean
  /** Resolves when nothing of it is under way. */
  stop(): Promise<void>
}

function holdLease(deps: ReconcileDeps, run: Run, lease: string): HeldLease {
  let state: 'held' | 'lost' | 'stopped' = 'held'
  let renewing = Promise.resolve()
  let cancel = (): void => undefined
  const renew = async (): Promise<void> => {
    // Unanswered it is tried again: its end is two renewals away.
    const isOurs = await save(deps, run, lease, false).catch(() => true)
    if (!isOurs) state = 'lost'
    if (state === 'held') plan()
  }
  const plan = (): void => {
    cancel = deps.clock.after(RECONCILE_LEASE_MS / 3, () => {
      renewing = renew()
    })
  }
  plan()
  return {
    id: lease,
    isLost: () => state === 'lost',
    async stop() {
      if (state === 'held') state = 'stopped'
      cancel()
      await renewing // it writes where the page began: that must not come after the page
    },
  }
}

/** Where a run goes on: checks may have come or gone since it was left. */
function placed(checks: readonly Check[], run: Run): Run {
  const { check_name: name } = run
  if (name === null || checks[run.check_no]?.name === name) return run
  const at = checks.findIndex((check) => check.name === name)
  return at >= 0 ? { ...run, check_no: at } : { ...run, cursor: null }
}

/** Notes what a page found, and mends what is provably right to mend, one after the other. */
async function take(
  deps: ReconcileDeps,
  run: Run,
  check: Check,
  found: readonly Drift[],
  held: HeldLease,
): Promise<number> {
  let fixed = 0
  const of = { lease: held.id, startedMs: run.started_at }
  for (const drift of found) {
    const noted = await deps.drifts.note(drift, of)
    if (noted === null) break // what was seen before the lease was lost is of then
    const { id, isOpen } = noted
    if (!run.options.fix || !isOpen || drift.repair === null || held.isLost()) continue
    // Without another look nothing may be called fixed.
    const again = () => check.again?.(drift) ?? Promise.resolve(drift)
    const repaired = await deps.repair(drift, again)
    if (repaired.kind === 'still') await deps.drifts.note(repaired.drift, of)
    if (repaired.kind !== 'fixed') continue
    await deps.drifts.fixed(id)
    fixed += 1
  }
  return fixed
}

/** One page; the run as it is after it. */
async function page(deps: ReconcileDeps, run: Run, check: Check, held: HeldLease): Promise<Run> {
  const { since_ms: sinceMs } = run.options
  const untilMs = run.started_at - (deps.quarantineMs ?? RECONCILE_QUARANTINE_MS)
  const { drifts, seen, unjudged, next } = await check.page(run.cursor, { sinceMs, untilMs })
  await deps.drifts.keep(unjudged ?? [], run.started_at)
  const fixed = run.fixed + (await take(deps, run, check, drifts, held))
  const counts = { seen: run.seen + seen, found: run.found + drifts.length, fixed, failures: 0 }
  if (next !== null) return { ...run, ...counts, cursor: next }
  const of = { lease: held.id, startedMs: run.started_at }
  await deps.drifts.gone(check.kinds, of, check.isOfTime ? sinceMs : null)
  return { ...run, ...counts, check_no: run.check_no + 1, cursor: null }
}

/** As it was saved last, by whomever. */
async function lastRun({ db }: Pick<ReconcileDeps, 'db'>, otherwise: Run): Promise<Run> {
  const [row] = await db.query(sql['last-run'])
  return row === undefined ? otherwise : runRow.parse(row)
}

async function carryOn(deps: ReconcileDeps, started: Run, lease: string): Promise<Progress> {
  const { clock } = deps
  const checks = deps.checks()
  const endMs = clock.monotonicMs() + RECONCILE_STEP_MS
  let run = placed(checks, started)
  while (clock.monotonicMs() < endMs) {
    const check = checks[run.check_no]
    if (check === undefined) {
      const of = { lease, startedMs: run.started_at }
      await deps.drifts.gone(['reconcile_check_failed'], of, null)
      await deps.drifts.expire(['reconcile_check_failed', ...checks.flatMap(({ kinds }) => kinds)])
      run = { ...run, finished_at: clock.now() }
      break
    }
    const holding = holdLease(deps, run, lease)
    run = await page(deps, run, check, holding).finally(() => holding.stop())
    // Lost: another process goes on from what was saved last. Seen twice is the same finding.
    if (!(await save(deps, run, lease, false))) return progressOf(checks, await lastRun(deps, run))
  }
  await save(deps, run, lease, true)
  return progressOf(checks, run)
}

/** One more failure of a page; its check is left out, with a finding, where that does not end. */
async function afterFailure(
  deps: ReconcileDeps,
  run: Run,
  lease: string,
  error: unknown,
): Promise<void> {
  const failures = run.failures + 1
  const subject = deps.checks()[run.check_no]?.name
  if (failures < RECONCILE_PAGE_TRIES_MAX || subject === undefined) {
    await save(deps, { ...run, failures }, lease, true)
    return
  }
  const next = { ...run, check_no: run.check_no + 1, cursor: null, failures: 0 }
  if (!(await save(deps, next, lease, true))) return
  const failed: Drift = {
    ...{ kind: 'reconcile_check_failed', severity: 'urgent', subject },
    ...{ direction: null, atStakeMicros: null, repair: null },
    evidence: { error: describeError(error), at: run.cursor, tries: failures },
  }
  await deps.drifts.note(failed, { lease: null, startedMs: run.started_at })
}

async function held(deps: ReconcileDeps, lease: string, run: Run): Promise<Progress> {
  try {
    return await carryOn(deps, run, lease)
  } catch (error) {
    // What was done until the last page is kept; the rest is tried again.
    await afterFailure(deps, await lastRun(deps, run), lease, error)
    throw error
  }
}

export function makeReconcile(deps: ReconcileDeps): Reconcile {
  const { db, ids, clock } = deps
  const until = (): Date => new Date(clock.now() + RECONCILE_LEASE_MS)
  const last = async (): Promise<Progress | null> => {
    const [row] = await db.query(sql['last-run'])
    return row === undefined ? null : progressOf(deps.checks(), runRow.parse(row))
  }
  return {
    async begin(given, id = ids.uuid()) {
      const lease = ids.uuid()
      const json = JSON.stringify(given)
      const params = [id, json, lease, until(), new Date(clock.now())]
      const [row] = await db.query(sql['begin-run'], params)
      if (row !== undefined) return held(deps, lease, runRow.parse(row))
      const known = await last()
      return known?.id === id ? known : null
    },
    async step() {
      const lease = ids.uuid()
      const [row] = await db.query(sql['take-run'], [lease, until(), new Date(clock.now())])
      return row === undefined ? null : held(deps, lease, runRow.parse(row))
    },
    last,
  }
}
