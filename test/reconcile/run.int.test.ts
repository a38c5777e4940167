import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/kernel/clock.ts'
import { RECONCILE_LEASE_MS, RECONCILE_PAGE_TRIES_MAX } from '../../src/kernel/limits/books.ts'
import type { Check, CheckPage } from '../../src/reconcile/check.ts'
import { makeDrifts, type Drift } from '../../src/reconcile/drift.ts'
import { makeRepair } from '../../src/reconcile/repair.ts'
import { makeReconcile, type RunOptions } from '../../src/reconcile/run.ts'
import type { Db } from '../../src/store/db.ts'
import { ids } from '../billing/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'

let own: TestDb
beforeAll(async () => {
  own = await testDb('postgres')
})
afterAll(() => own[Symbol.asyncDispose]())
beforeEach(async () => {
  await own.db.query('DELETE FROM reconcile_runs; DELETE FROM findings')
})

const MANUAL: RunOptions = { kind: 'manual', since_ms: null, fix: true }
const NIGHTLY: RunOptions = { kind: 'nightly', since_ms: 0, fix: false }
const EMPTY: CheckPage = { drifts: [], seen: 1, next: null }

/** A comparison that notes where its pages began. */
function aCheck(name: string, page: (cursor: string | null) => Promise<CheckPage>) {
  const cursors: (string | null)[] = []
  const check: Check = {
    ...{ name, kinds: ['ledger_balance'], isOfTime: false },
    page: (cursor) => {
      cursors.push(cursor)
      return page(cursor)
    },
  }
  return { check, cursors }
}
const quick = (name: string) => aCheck(name, () => Promise.resolve(EMPTY))

const drift = (subject: string): Drift => ({
  ...{ kind: 'ledger_balance', severity: 'review', direction: null, atStakeMicros: null },
  ...{ subject, evidence: {}, repair: { kind: 'recover', accountId: subject } },
})

/** One process over the one run; time and timers are moved by hand. */
function aProcess(
  checks: readonly { check: Check }[],
  clock = systemClock,
  recover: () => Promise<unknown> = () => Promise.resolve(),
) {
  const repaired: string[] = []
  const answered = { updates: 0 }
  const db: Db = {
    ...own.db,
    async query(sql, params) {
      const rows = await own.db.query(sql, params)
      if (sql.includes('UPDATE reconcile_runs')) answered.updates += 1
      return rows
    },
  }
  const never = () => Promise.reject(new Error('not asked for'))
  const repair = makeRepair({
    ...{ db: own.db, ids, clock, recover, rebuild: never, entitle: never, look: null },
  })
  const reconcile = makeReconcile({
    ...{ db, ids, clock, checks: () => checks.map(({ check }) => check) },
    drifts: makeDrifts({ db, ids, clock }),
    repair: (drift, again) => {
      repaired.push(drift.subject)
      return repair(drift, again)
    },
  })
  return { ...reconcile, repaired, answered }
}

function aHandClock() {
  let nowMs = systemClock.now()
  let timers: { atMs: number; run: () => void }[] = []
  return {
    clock: {
      now: () => nowMs,
      monotonicMs: () => nowMs,
      after: (ms: number, run: () => void) => {
        const timer = { atMs: nowMs + ms, run }
        timers.push(timer)
        return () => {
          timers = timers.filter((other) => other !== timer)
        }
      },
    },
    pass(ms: number) {
      nowMs += ms
      const due = timers.filter(({ atMs }) => atMs <= nowMs)
      timers = timers.filter(({ atMs }) => atMs > nowMs)
      for (const { run } of due) run()
    },
  }
}

const findings = () =>
  own.db.query("SELECT kind, subject FROM findings WHERE state = 'open' ORDER BY kind, subject")

describe('a run that is under way', () => {
  const broken = () => aCheck('broken', () => Promise.reject(new Error('not today')))

  test('is not begun anew, nor does another one begin', async () => {
    const one = aProcess([quick('a'), broken()])
    await expect(one.begin(NIGHTLY)).rejects.toThrow('not today')
    const left = await one.last()
    expect(left).toMatchObject({ kind: 'nightly', check: 'broken', seen: 1 })
    expect(await one.begin(MANUAL)).toBeNull()
    const healed = aProcess([quick('a'), quick('broken')])
    expect(await healed.step()).toMatchObject({ id: left?.id, check: null, seen: 2 })
    // What began since has not made the night forgotten.
    const manual = await healed.begin(MANUAL)
    expect(manual).toMatchObject({ kind: 'manual', nightlyMs: left?.startedMs })
  })

  test('leaves out what fails again and again, tells it, and goes on', async () => {
    const failing = broken()
    const after = quick('after')
    const one = aProcess([quick('before'), failing, after])
    await own.db.query(
      `INSERT INTO findings (id, kind, severity, subject, evidence, first_seen, last_seen)
       VALUES ($1, 'ledger_balance', 'review', 'kept', '{}', now() - interval '1 day',
               now() + interval '1 day')`,
      [ids.uuid()],
    )
    await expect(one.begin(NIGHTLY)).rejects.toThrow('not today')
    for (let tries = 2; tries <= RECONCILE_PAGE_TRIES_MAX; tries++) {
      expect(after.cursors).toEqual([])
      await expect(one.step()).rejects.toThrow('not today')
    }
    expect(failing.cursors).toHaveLength(RECONCILE_PAGE_TRIES_MAX)
    expect(await one.step()).toMatchObject({ check: null })
    expect(after.cursors).toEqual([null])
    const failed = { kind: 'reconcile_check_failed', subject: 'broken' }
    expect(await findings()).toEqual([{ kind: 'ledger_balance', subject: 'kept' }, failed])
    // It is gone with the first run in which it works.
    const healed = aProcess([quick('before'), quick('broken')])
    expect(await healed.begin(MANUAL)).toMatchObject({ check: null })
    expect(await findings()).not.toContainEqual(failed)
  })

  test('goes on at its check when checks have come or gone, and at its beginning otherwise', async () => {
    const pages = () =>
      aCheck('pages', (cursor) =>
        cursor === null
          ? Promise.resolve({ ...EMPTY, next: 'second' })
          : Promise.reject(new Error('not yet')),
      )
    await expect(aProcess([quick('a'), pages()]).begin(NIGHTLY)).rejects.toThrow('not yet')
    const [before, moved] = [quick('new'), quick('pages')]
    await aProcess([before, quick('a'), moved]).step()
    expect(moved.cursors).toEqual(['second'])

    await expect(aProcess([quick('a'), pages()]).begin(NIGHTLY)).rejects.toThrow('not yet')
    const instead = quick('instead')
    await aProcess([quick('a'), instead]).step()
    expect(instead.cursors).toEqual([null])
  })

  test('is held while a page takes longer than a lease, and mends nothing once it is lost', async () => {
    const hand = aHandClock()
    const gate = Promise.withResolvers<CheckPage>()
    const slow = aCheck('slow', () => gate.promise)
    const one = aProcess([slow], hand.clock)
    const two = aProcess([quick('slow')], hand.clock)
    const going = one.begin(MANUAL)
    const renewed = async () => {
      const [row] = await own.db.query('SELECT lease_until AS at FROM reconcile_runs')
      return Number(row?.at)
    }
    await expect.poll(() => slow.cursors.length).toBe(1)
    for (let third = 0; third < 6; third++) {
      const until = await renewed()
      hand.pass(RECONCILE_LEASE_MS / 3)
      await expect.poll(renewed).toBeGreaterThan(until)
      expect(await two.step()).toBeNull()
    }
    // Somebody takes it all the same: the process hears of it at its next renewal.
    await own.db.query('UPDATE reconcile_runs SET lease = gen_random_uuid()')
    const before = one.answered.updates
    hand.pass(RECONCILE_LEASE_MS / 3)
    await expect.poll(() => one.answered.updates).toBe(before + 1)
    gate.resolve({ drifts: [drift('acct_1')], seen: 1, next: null })
    await going
    expect(one.repaired).toEqual([])
  })
})

test('a process that hears late that its run is another’s notes nothing of it', async () => {
  const gate = Promise.withResolvers<CheckPage>()
  const slow = aCheck('slow', () => gate.promise)
  const frozen = aProcess([slow]).begin(MANUAL)
  await expect.poll(() => slow.cursors.length).toBe(1)
  // Frozen for longer than its lease: another one goes on, and is done before it wakes.
  await own.db.query("UPDATE reconcile_runs SET lease_until = now() - interval '1 second'")
  const other = aProcess([quick('slow')])
  expect(await other.step()).toMatchObject({ check: null, found: 0 })
  gate.resolve({ drifts: [drift('acct_1')], seen: 1, next: null })
  expect(await frozen).toMatchObject({ check: null, found: 0 })
  expect(await findings()).toEqual([])
  expect(await other.last()).toMatchObject({ check: null, found: 0, fixed: 0 })
})

test('a process that hears late that its run is another’s calls nothing of it gone', async () => {
  const opened = async () => {
    const [row] = await own.db.query('SELECT state, openings FROM findings ')
    return row
  }
  const found = { ...EMPTY, drifts: [drift('acct_1')] }
  await aProcess([aCheck('a', () => Promise.resolve(found))]).begin({ ...MANUAL, fix: false })
  const gates = [Promise.withResolvers<CheckPage>(), Promise.withResolvers<CheckPage>()] as const
  const [slow, slower] = [aCheck('a', () => gates[0].promise), aCheck('a', () => gates[1].promise)]
  const frozen = aProcess([slow]).begin({ ...MANUAL, fix: false })
  await expect.poll(() => slow.cursors.length).toBe(1)
  await own.db.query("UPDATE reconcile_runs SET lease_until = now() - interval '1 second'")
  const other = aProcess([slower]).step()
  await expect.poll(() => slower.cursors.length).toBe(1)
  gates[0].resolve(found)
  await frozen
  expect(await opened()).toEqual({ state: 'open', openings: 1 })
  gates[1].resolve(found)
  expect(await other).toMatchObject({ check: null, found: 1 })
  expect(await opened()).toEqual({ state: 'open', openings: 1 })
})

test('what a process sees whose clock is behind that of who began the run stays open', async () => {
  const ahead = { ...systemClock, now: () => systemClock.now() + 300_000 }
  const failing = aCheck('a', () => Promise.reject(new Error('not today')))
  await expect(aProcess([failing], ahead).begin(NIGHTLY)).rejects.toThrow('not today')
  const found = aCheck('a', () =>
    Promise.resolve({ ...EMPTY, drifts: [drift('acct_1')], unjudged: ['acct_2'] }),
  )
  const seen = (subject: string) =>
    own.db.query(
      `INSERT INTO findings (id, kind, severity, subject, evidence, first_seen, last_seen)
       VALUES ($1, 'ledger_balance', 'review', $2, '{}', now(), now())`,
      [ids.uuid(), subject],
    )
  for (const subject of ['acct_2', 'acct_3']) await seen(subject)
  expect(await aProcess([found]).step()).toMatchObject({ check: null })
  expect((await findings()).map(({ subject }) => subject)).toEqual(['acct_1', 'acct_2'])
})

test('an explanation ends: what nobody would see again is open, what is not seen is gone', async () => {
  const explained = (kind: string, subject: string, until: string | null) =>
    own.db.query(
      `INSERT INTO findings (id, kind, severity, subject, evidence, first_seen, last_seen, state,
         note, explained_until)
       VALUES ($1, $2, 'urgent', $3, '{}', now() - interval '2 days', now() - interval '2 days',
         'explained', 'we know', now() + $4::interval)`,
      [ids.uuid(), kind, subject, until],
    )
  await explained('meter_late', 'over', '-1 hour')
  await explained('meter_late', 'stands', '1 hour')
  await explained('meter_late', 'for good', null)
  await explained('ledger_balance', 'not seen', '-1 hour')
  await explained('ledger_balance', 'not seen, stands', '1 hour')
  await explained('ledger_balance', 'seen', '-1 hour')
  const found = aCheck('a', () => Promise.resolve({ ...EMPTY, drifts: [drift('seen')] }))
  await aProcess([found]).begin({ ...MANUAL, fix: false })
  expect((await findings()).map(({ subject }) => subject)).toEqual(['seen', 'over'])
  const [gone] = await own.db.query("SELECT state FROM findings WHERE subject = 'not seen'")
  expect(gone?.state).toBe('gone')
  // Operators are told of what opened within a day: it did now, though nobody saw it since.
  const [over] = await own.db.query(
    `SELECT openings, opened_at > now() - interval '1 hour' AS is_new,
            last_seen < now() - interval '1 day' AS is_old
     FROM findings WHERE subject = 'over'`,
  )
  expect(over).toEqual({ openings: 2, is_new: true, is_old: true })
})

test('what was not judged stays open', async () => {
  const found = aCheck('a', () => Promise.resolve({ ...EMPTY, drifts: [drift('acct_1')] }))
  await aProcess([found]).begin({ ...NIGHTLY, fix: false })
  const unjudged = aCheck('a', () => Promise.resolve({ ...EMPTY, unjudged: ['acct_1'] }))
  await aProcess([unjudged]).begin({ ...NIGHTLY, fix: false })
  expect(await findings()).toEqual([{ kind: 'ledger_balance', subject: 'acct_1' }])
  await aProcess([quick('a')]).begin({ ...NIGHTLY, fix: false })
  expect(await findings()).toEqual([])
})

describe('what was put right is looked at again', () => {
  /** One drift, found until `isThere` says otherwise. */
  const drifting = (isThere: () => boolean) => {
    const it = aCheck('a', () =>
      Promise.resolve({ ...EMPTY, drifts: isThere() ? [drift('acct_1')] : [] }),
    )
    const again = (one: Drift) =>
      Promise.resolve(isThere() ? { ...one, evidence: { seen: 'again' } } : null)
    return { ...it, check: { ...it.check, again } }
  }
  const state = async () =>
    (await own.db.query("SELECT state, evidence FROM findings WHERE subject = 'acct_1'"))[0]
  const audited = async () =>
    (await own.db.query('SELECT action, detail FROM audit_log ORDER BY at, id')).map(
      ({ action, detail }) => [action, detail],
    )
  const detail = { finding: 'ledger_balance', kind: 'recover', accountId: 'acct_1' }
  beforeEach(async () => {
    await own.db.query('DELETE FROM audit_log')
  })

  test('and called fixed when it is gone', async () => {
    let isThere = true
    const recover = () => Promise.resolve((isThere = false))
    const done = await aProcess([drifting(() => isThere)], systemClock, recover).begin(MANUAL)
    expect(done).toMatchObject({ found: 1, fixed: 1 })
    expect(await state()).toMatchObject({ state: 'fixed' })
    expect(await audited()).toEqual([
      ['reconcile.recover', detail],
      ['reconcile.recover.fixed', detail],
    ])
  })

  test('and stays open, saying so, when it did not help', async () => {
    const done = await aProcess([drifting(() => true)]).begin(MANUAL)
    expect(done).toMatchObject({ found: 1, fixed: 0 })
    const tried = { seen: 'again', repair_tried: 'recover', repair_helped: false }
    expect(await state()).toEqual({ state: 'open', evidence: tried })
    expect(await audited()).toEqual([
      ['reconcile.recover', detail],
      ['reconcile.recover.no_help', detail],
    ])
  })

  test('and stays open with the error of a repair that failed; the run goes on', async () => {
    const after = quick('after')
    const recover = () => Promise.reject(new Error('Redis is away'))
    const checks = [drifting(() => true), after]
    expect(await aProcess(checks, systemClock, recover).begin(MANUAL)).toMatchObject({
      ...{ check: null, fixed: 0 },
    })
    expect(after.cursors).toEqual([null])
    const [, [action, told] = []] = await audited()
    expect(action).toBe('reconcile.recover.no_help')
    expect(JSON.stringify(told)).toContain('Redis is away')
    expect(await state()).toMatchObject({ state: 'open', evidence: { repair_helped: false } })
  })

  test('and is never fixed by a comparison that cannot look again', async () => {
    const { check } = drifting(() => false)
    const blind = aCheck('a', () => Promise.resolve({ ...EMPTY, drifts: [drift('acct_1')] }))
    expect(check.again).toBeDefined()
    expect(await aProcess([blind]).begin(MANUAL)).toMatchObject({ found: 1, fixed: 0 })
    expect(await state()).toMatchObject({ state: 'open' })
  })

  test('and is left alone, unaudited, where it is a repair that nobody has', async () => {
    const look: Drift = { ...drift('acct_1'), repair: { kind: 'look', what: 'payment' } }
    const found = aCheck('a', () => Promise.resolve({ ...EMPTY, drifts: [look] }))
    expect(await aProcess([found]).begin(MANUAL)).toMatchObject({ found: 1, fixed: 0 })
    expect(await audited()).toEqual([])
  })
})
