import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { migrationNames } from '../../src/store/migrate.ts'
import { untilReady, type Gateway } from '../support/gateway.ts'
import { findPooler, startPooler, type Pooler } from '../support/servers.ts'
import { adminUrl, runSql } from '../support/stores.ts'
import { countOf, expectBooks, verify } from './support/books.ts'
import { JSON_MODEL } from './support/jobs.ts'
import { runJob, startLoad } from './support/load.ts'
import { startFaultWorld, type FaultWorld } from './support/world.ts'

/** Fewer than the clients of two gateways, so that each transaction may get another one. */
const CONNECTIONS = 3
const LANES = 12

const step = z.looseObject({ check: z.string().nullable() })
const doctor = z.object({
  findings: z.array(z.looseObject({ check: z.string(), status: z.string(), detail: z.string() })),
})

describe.skipIf(findPooler() === null)('behind a pooler in transaction mode', () => {
  const name = `farebox_pooled_${randomBytes(4).toString('hex')}`
  let pooler: Pooler
  let world: FaultWorld
  let gateways: Gateway[]
  beforeAll(async () => {
    await runSql(adminUrl(), [`CREATE DATABASE ${name}`])
    pooler = await startPooler(adminUrl(), CONNECTIONS)
    world = await startFaultWorld({
      databaseUrl: pooler.url(name),
      config: { post_wait_ms: 200, idempotency_wait_ms: 20_000 },
    })
    gateways = await Promise.all([world.gateway(0), world.gateway(1)])
  })
  afterAll(async () => {
    await world.end()
    await pooler.stop()
    await runSql(adminUrl(), [`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`])
  })

  const gateway = (): Gateway => {
    const [first] = gateways
    if (first === undefined) throw new Error('no gateway')
    return first
  }

  it('two gateways that start at once migrate the database once', async () => {
    const applied = await world.sql('SELECT name FROM schema_migrations')
    expect(applied.map((row) => row.name).sort()).toEqual(migrationNames())
    await Promise.all(gateways.map(untilReady))
  })

  it('every request is charged once, those with a key and the operator’s own meanwhile', async () => {
    const customers = await Promise.all([1, 2, 3].map(() => gateway().admin.customer('1000')))
    const load = startLoad({ gateways, customers, lanes: LANES })
    const [{ apiKey } = { apiKey: '' }] = customers
    const named = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        runJob(gateways[n % 2] ?? gateway(), apiKey, JSON_MODEL, { 'idempotency-key': `${n}` }),
      ),
    )
    const put = await Promise.all(
      gateways.map(({ admin }, n) =>
        admin.call('PUT', '/admin/v1/prices', {
          kind: 'cost',
          entry: { upstream: 'other', model: `m${n}`, input_usd_per_mtok: '1' },
        }),
      ),
    )
    await load.more(80)
    const outcomes = [...(await load.stop()), ...named]
    expect(put.map(({ status }) => status)).toEqual([200, 200])
    expect(countOf(outcomes, 'complete')).toBe(outcomes.length)
    await expectBooks(world, gateway(), customers, outcomes)
  })

  it('a comparison of the books begins once and comes to its end', async () => {
    const begun = await Promise.all(
      gateways.map(({ admin }) => admin.call('POST', '/admin/v1/reconcile', { fix: false })),
    )
    expect(begun.map(({ status }) => status).sort()).toEqual([200, 409])
    for (let check: string | null = ''; check !== null;) {
      const answer = await gateway().admin.call('POST', '/admin/v1/reconcile/step')
      check = step.parse(await answer.json()).check
    }
    expect(await verify(gateway())).toMatchObject({ ok: true, breaches: [] })
  })

  it('a pooler that dies under load costs nothing but time', async () => {
    const customers = await Promise.all([1, 2].map(() => gateway().admin.customer('1000')))
    const load = startLoad({ gateways, customers, lanes: LANES })
    await load.more(20)
    await pooler.kill()
    await load.more(30)
    await pooler.restart()
    await load.more(20)
    const outcomes = await load.stop()
    expect(countOf(outcomes, 'broken')).toBe(0)
    await expectBooks(world, gateway(), customers, outcomes)
  })

  it('leaves no lock and no setting to whoever gets the connection next', async () => {
    expect(
      await world.sql(`SELECT * FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`),
    ).toEqual([])
    // Each look may fall on another one of the connections.
    const looks = await Promise.all(
      Array.from({ length: CONNECTIONS * 3 }, () =>
        world.sql(`SELECT name, setting FROM pg_settings WHERE setting <> reset_val AND name IN
          ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
           'plan_cache_mode', 'default_transaction_read_only')`),
      ),
    )
    expect(looks.flat()).toEqual([])
    expect(await world.sql('SELECT name FROM pg_prepared_statements')).toEqual([])
  })

  it('the doctor tells of it', async () => {
    const answer = await gateway().admin.call('POST', '/admin/v1/doctor', {})
    const { findings } = doctor.parse(await answer.json())
    const told = findings.find(({ check }) => check === 'postgres pooling')
    expect(told?.status).toBe('ok')
    expect(told?.detail).toContain('a pooler sits between')
  })
})
