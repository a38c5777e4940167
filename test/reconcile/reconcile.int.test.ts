import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { makeReconciliation } from '../../src/app/reconcile.ts'
import { RECONCILE_QUARANTINE_MS } from '../../src/kernel/limits/books.ts'
import type { Reconcile } from '../../src/reconcile/run.ts'
import { dueRun, makeSchedule } from '../../src/reconcile/schedule.ts'
import { aCustomer, LEASE_MS, makeWorld, openHold, type World } from '../admin/world.ts'

let world: World
let reconcile: Reconcile
beforeAll(async () => {
  world = await makeWorld()
  reconcile = over({ quarantineMs: -60_000 })
})
afterAll(() => world.close())

/** Who is suspected is looked at again: not for long. */
const quick = () => ({
  ...world.clock,
  after: (...[ms, run]: Parameters<World['clock']['after']>) =>
    world.clock.after(ms > 10_000 ? ms : Math.min(ms, 20), run),
})

const over = (options: { quarantineMs: number }): Reconcile =>
  makeReconciliation({
    core: world.core,
    ...{ stripe: null, leaseMs: LEASE_MS, clock: quick(), ids: world.ids, ...options },
  })

async function run(fix = false, by = reconcile) {
  const done = await by.begin({ kind: 'manual', since_ms: null, fix })
  expect(done).toMatchObject({ check: null })
  return done
}

const findings = async (state = 'open') =>
  world.db.query(
    `SELECT kind, subject, severity, direction, at_stake_micros, state, id FROM findings
     WHERE state = $1 ORDER BY kind, subject`,
    [state],
  )
const kinds = async (state = 'open') => (await findings(state)).map(({ kind }) => kind)

/** A customer with one charge of 1000, and nothing wrong with it. */
async function aCharged() {
  const customer = await aCustomer(world)
  const { holdId, settle } = await openHold(world, customer, 1_000)
  await settle(1_000)
  return { ...customer, holdId }
}

beforeEach(async () => {
  await world.db.query('DELETE FROM findings')
})

test('books that agree yield no finding, with holds open and charges settled', async () => {
  const customers = await Promise.all([1, 2, 3].map(() => aCharged()))
  const held = await Promise.all(customers.map((customer) => openHold(world, customer, 5_000)))
  const [done] = await Promise.all([
    run(),
    ...customers.map(async (customer) => (await openHold(world, customer, 700)).settle(700)),
  ])
  for (const { settle } of held) await settle(1)
  expect(done).toMatchObject({ found: 0, fixed: 0 })
  expect(await kinds()).toEqual([])
})

describe('drift between our own books', () => {
  test('several subscriptions in force, and what is younger than the quarantine is not', async () => {
    const { accountId } = await aCharged()
    await world.db.query(`UPDATE accounts SET stripe_customer_id = 'cus_s' WHERE id = $1`, [
      accountId,
    ])
    for (const id of ['sub_a', 'sub_b']) {
      await world.db.query(
        `INSERT INTO subscriptions (id, account_id, customer_id, plan_id, quantity, status,
         cancel_at_period_end, is_collection_paused, started_at, changed_at)
         VALUES ($2, $1, 'cus_s', 'pro', 1, 'active', false, false, now(), now())`,
        [accountId, id],
      )
    }
    await run(false, over({ quarantineMs: RECONCILE_QUARANTINE_MS }))
    expect(await kinds()).toEqual([])
    await run()
    expect(await kinds()).toEqual(['several_subscriptions'])
    await world.db.query('DELETE FROM subscriptions')
  })
})

describe('what Redis has', () => {
  test('is found to differ, told, and with --fix loaded again, once, with an audit entry', async () => {
    const { accountId, keyId } = await aCharged()
    // Changed behind the program's back: nothing tells the engine.
    await world.db.query(`UPDATE accounts SET credit_limit_micros = 77 WHERE id = $1`, [accountId])
    await world.db.query(`UPDATE api_keys SET max_concurrency = 3 WHERE id = $1`, [keyId])
    await run()
    expect(await kinds()).toEqual(['engine_fields', 'engine_fields'])
    expect(await run(true)).toMatchObject({ found: 2, fixed: 2 })
    expect(await kinds()).toEqual([])
    expect(await kinds('fixed')).toEqual(['engine_fields', 'engine_fields'])
    const audited = await world.db.query(
      `SELECT action FROM audit_log WHERE actor = 'reconcile' AND subject = ANY ($1::text[])`,
      [[accountId, keyId]],
    )
    expect(audited.map(({ action }) => action).toSorted()).toEqual([
      ...['reconcile.rebuild', 'reconcile.rebuild'],
      ...['reconcile.rebuild.fixed', 'reconcile.rebuild.fixed'],
    ])
    expect(await run()).toMatchObject({ found: 0 })
    await world.db.query(`UPDATE accounts SET credit_limit_micros = 0 WHERE id = $1`, [accountId])
    await run()
    expect(await kinds()).toEqual(['engine_fields'])
    await run(true)
  })

  test('money that is wrong in Postgres is never mended by a machine', async () => {
    const { accountId } = await aCharged()
    const move = (by: number) =>
      world.db.query('UPDATE accounts SET posted_micros = posted_micros + $2 WHERE id = $1', [
        accountId,
        by,
      ])
    await move(5)
    await run(true)
    expect(await kinds()).toContain('ledger_balance')
    await move(-5)
    await run(true)
    expect(await kinds()).toEqual([])
  })
})

test('what a run does not look back to is not gone', async () => {
  const { keyId } = await aCharged()
  const spend = (by: string) =>
    world.db.query(`UPDATE key_spend SET micros = micros ${by} WHERE key_id = $1`, [keyId])
  await spend('+ 1')
  await run()
  expect(await kinds()).toEqual(['key_spend_differs'])
  const tomorrow = world.clock.now() + 86_400_000
  await reconcile.begin({ kind: 'hourly', since_ms: tomorrow, fix: false })
  expect(await kinds()).toEqual(['key_spend_differs'])
  await spend('- 1')
  await run()
  expect(await kinds()).toEqual([])
})

test('an explained finding stays so until its note runs out', async () => {
  const { keyId } = await aCharged()
  await world.db.query('UPDATE key_spend SET micros = micros + 1 WHERE key_id = $1', [keyId])
  await run()
  const [finding] = await findings()
  const explain = (body: object) =>
    world.admin('POST', `/findings/${String(finding?.id)}/explain`, body)
  expect(await explain({ note: 'known', until: '2099-01-01T00:00:00Z' })).toMatchObject({
    body: { state: 'explained', note: 'known' },
  })
  await run()
  expect(await kinds()).toEqual([])
  await explain({ note: 'known', until: '2020-01-01T00:00:00Z' })
  await run()
  expect(await kinds()).toEqual(['key_spend_differs'])
  await world.db.query('UPDATE key_spend SET micros = micros - 1 WHERE key_id = $1', [keyId])
})

describe('a run', () => {
  test('has one runner, and is taken up where it was left', async () => {
    const [one, two] = await Promise.all([
      reconcile.begin({ kind: 'manual', since_ms: null, fix: false }),
      over({ quarantineMs: 0 }).begin({ kind: 'manual', since_ms: null, fix: false }),
    ])
    expect([one, two].filter((done) => done === null)).toHaveLength(1)
    expect(await reconcile.step()).toBeNull()
    // As a process leaves it that died in the middle.
    await world.db.query(
      `UPDATE reconcile_runs SET finished_at = NULL, check_no = 3, seen = 5,
       lease = gen_random_uuid(), lease_until = now() + interval '1 minute'`,
    )
    expect(await reconcile.step()).toBeNull()
    await world.db.query(`UPDATE reconcile_runs SET lease_until = now() - interval '1 second'`)
    const done = await reconcile.step()
    expect(done).toMatchObject({ check: null, checkNo: done?.checks })
    expect(done?.seen).toBeGreaterThanOrEqual(5)
  })

  test('is begun by a process only that has caught up after a start or a sleep', async () => {
    let nowMs = Date.UTC(2027, 0, 2, 12)
    let begun = 0
    const hourAgo = nowMs - 2 * 3_600_000
    const round = makeSchedule(
      {
        ...reconcile,
        last: async () => {
          const last = await reconcile.last()
          if (last === null) throw new Error('nothing ran')
          return { ...last, finishedMs: hourAgo, startedMs: hourAgo, nightlyMs: hourAgo }
        },
        begin() {
          begun += 1
          return Promise.resolve(null)
        },
      },
      { ...world.clock, now: () => nowMs },
    )
    const after = async (ms: number): Promise<number> => {
      nowMs += ms
      await round()
      return begun
    }
    expect([await after(0), await after(60_000), await after(59_000)]).toEqual([0, 0, 0])
    expect(await after(1_000)).toBe(1)
    expect([await after(3_600_000), await after(110_000)]).toEqual([1, 1])
    expect(await after(10_000)).toBe(2)
  })

  test('is due each hour, and looks back further on a new day', () => {
    const noon = Date.UTC(2027, 0, 2, 12)
    const morning = noon - 11 * 3_600_000
    expect(dueRun(noon - 3_599_000, morning, noon)).toBeNull()
    expect(dueRun(noon - 3_600_000, morning, noon)).toMatchObject({ kind: 'hourly', fix: false })
    // Whatever else began meanwhile: a day has its nightly run.
    expect(dueRun(noon - 1, noon - 13 * 3_600_000, noon)).toMatchObject({ kind: 'nightly' })
  })
})
