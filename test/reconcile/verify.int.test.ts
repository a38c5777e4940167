import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readScripts, scriptFacts } from '../../src/credits/redis/transport.ts'
import { oneNode } from '../../src/store/redis-nodes.ts'
import { micros } from '../../src/kernel/money.ts'
import { makeDoctor } from '../../src/reconcile/doctor.ts'
import { makeVerify, type VerifyReport } from '../../src/reconcile/verify.ts'
import { until } from '../support/until.ts'
import { shardOf } from '../../src/credits/shard.ts'
import { keysOf } from '../../src/credits/redis/keys.ts'
import { aCustomer, makeWorld, openHold, SWEEP_MS, textAt, type World } from '../admin/world.ts'

let world: World
beforeAll(async () => {
  world = await makeWorld()
})
afterAll(async () => {
  await world.close()
})

const invariants = (report: VerifyReport) => report.breaches.map((one) => one.invariant)

/** verify that does not wait long between its looks. */
const verify = (only: string | null) =>
  makeVerify({
    ...world,
    sweepMs: SWEEP_MS,
    clock: { ...world.clock, after: (ms, run) => world.clock.after(Math.min(ms, 20), run) },
  })(only)

/** A customer whose key counts what it spends. */
async function aBudgeted(credits?: string) {
  const customer = await aCustomer(world, credits)
  const body = { name: 'budgeted', budget: { credits: '5000', period: 'month' } }
  const key = await world.admin('POST', `/accounts/${customer.accountId}/keys`, body)
  return { ...customer, keyId: textAt(key, 'id') }
}

describe('verify', () => {
  it('raises no alarm while requests, grants and changes go on', async () => {
    const customers = await Promise.all(Array.from({ length: 4 }, () => aBudgeted('1000')))
    const state = { stop: false, requests: 0 }
    const traffic = customers.flatMap((customer) =>
      Array.from({ length: 3 }, async (_, lane) => {
        for (let n = 0; !state.stop; n += 1) {
          const { hold, settle } = await openHold(world, customer, 50_000)
          if (n % 5 === 4) await hold.release()
          else await settle(10_000 + ((n * 7919 + lane) % 60_000)) // some cost more than was held
          state.requests += 1
        }
      }),
    )
    const changes = (async () => {
      for (let n = 0; !state.stop; n += 1) {
        const [customer] = customers
        if (customer === undefined) return
        const grant = { credits: '1', kind: 'promo', reason: 'r', reference_id: `live_${n}` }
        await world.admin('POST', `/accounts/${customer.accountId}/grants`, grant)
      }
    })()
    const reports: VerifyReport[] = []
    for (let n = 0; n < 5; n += 1) {
      const report = await world.operations.verify(null)
      if (report !== null) reports.push(report)
    }
    expect(reports).toHaveLength(5)
    state.stop = true
    await Promise.all([...traffic, changes])
    expect(state.requests).toBeGreaterThan(50)
    for (const report of reports) {
      expect(report.breaches).toEqual([])
      expect(report.ok).toBe(true)
      expect(report.accounts_loaded).toBe(4)
    }
  })

  it('finds a balance that differs by one micro (I2) and an edited account (I10)', async () => {
    const customer = await aCustomer(world)
    expect(await verify(customer.accountId)).toMatchObject({ ok: true, accounts: 1 })
    const set = (sql: string) => world.db.query(sql, [customer.accountId])
    await set('UPDATE accounts SET posted_micros = posted_micros + 1 WHERE id = $1')
    const off = await verify(customer.accountId)
    expect(invariants(off).sort()).toEqual(['I1', 'I1', 'I2'])
    expect(off.ok).toBe(false)
    await set('UPDATE accounts SET posted_micros = posted_micros - 1 WHERE id = $1')
    await set(`UPDATE accounts SET status = 'frozen' WHERE id = $1`)
    expect(invariants(await verify(customer.accountId))).toEqual(['I10'])
    await set(`UPDATE accounts SET status = 'active', change_seq = change_seq + 1 WHERE id = $1`)
    const behind = await verify(customer.accountId)
    expect(behind.breaches[0]?.detail).toContain('change_seq')
    await world.reload(customer.accountId)
    expect(await verify(customer.accountId)).toMatchObject({ ok: true })
  })

  it('finds a key whose limits the engine does not know (I10)', async () => {
    const customer = await aCustomer(world)
    await (await openHold(world, customer, 1_000)).settle(1_000)
    await world.db.query('UPDATE api_keys SET max_concurrency = 3 WHERE id = $1', [customer.keyId])
    const report = await verify(customer.accountId)
    expect(report.breaches).toMatchObject([{ invariant: 'I10', subject: customer.keyId }])
    expect(report.keys_loaded).toBe(1)
  })

  it("finds a key whose spend in Redis is not the ledger's and its holds' (I10)", async () => {
    const { accountId, keyId, ...rest } = await aBudgeted()
    const customer = { ...rest, accountId, keyId }
    await (await openHold(world, customer, 3_000)).settle(1_000)
    await world.reload(accountId, keyId)
    await (await openHold(world, customer, 3_000)).settle(2_000)
    const { hold } = await openHold(world, customer, 500)
    const isSound = { ok: true, keys_loaded: 1, breaches: [] }
    expect(await verify(accountId)).toMatchObject(isSound)
    const name = keysOf(shardOf(accountId)).key(accountId, keyId)
    await world.redis.send('HINCRBY', name, 'spend', -700)
    const detail = 'spend is 2800, in Postgres 3500'
    expect(await verify(accountId)).toMatchObject({
      ok: false,
      breaches: [{ invariant: 'I10', subject: keyId, detail }],
    })
    await world.redis.send('HINCRBY', name, 'spend', 700)
    await hold.release()
    expect(await verify(accountId)).toMatchObject(isSound)
    await world.db.query('UPDATE key_spend SET micros = micros + 1 WHERE key_id = $1', [keyId])
    expect(invariants(await verify(accountId))).toEqual(['I10'])
  })

  it('finds a hold that outlived its lease (I7), and recover ends it', async () => {
    const customer = await aCustomer(world)
    // A hold whose gateway is gone: reserved straight at the engine, renewed by nobody.
    const ref = { accountId: customer.accountId, keyId: customer.keyId, holdId: world.ids.uuid() }
    await world.credits.loads.key(customer.accountId, customer.keyId, 'missing')
    const want = (await world.books.balance(customer.accountId))?.postedMicros
    if (want === undefined) throw new Error('no balance')
    const reply = await world.engine.reserve({
      ...ref,
      wantMicros: want,
      leastMicros: want,
      keySeq: 0,
      fitShares: 1,
      tokens: 1,
      leaseMs: 1,
      notAfterMs: (await world.engine.timeMs()) + 5_000,
      owner: 'gone',
    })
    expect(reply.kind).toBe('ok')
    const reports: VerifyReport[] = []
    await until(async () => {
      reports.push(await verify(customer.accountId))
      return reports.at(-1)?.ok === false
    })
    expect(reports.at(-1)?.breaches).toMatchObject([{ invariant: 'I7', subject: ref.holdId }])
    expect(await world.operations.recover()).toMatchObject({ ended: 1, left: 0 })
    expect(await verify(customer.accountId)).toMatchObject({ ok: true })
  })

  it('recover has posted and cleared what it ended when it answers', async () => {
    const customer = await aCustomer(world)
    const { holdId, draft } = await openHold(world, customer, 2_000)
    await world.engine.renew({
      ...{ accountId: customer.accountId, keyId: customer.keyId, holdId },
      ...{ micros: micros(2_000), progressMicros: micros(700), tokens: 1 },
      ...{ day: 0, reservedAtMs: Date.now(), leaseMs: 1, owner: 'gone' },
      draft: JSON.stringify(draft),
    })
    await until(async () => (await world.engine.lapsed()).length > 0)
    expect(await world.operations.recover()).toEqual({ ended: 1, left: 0 })
    expect((await world.books.balance(customer.accountId))?.postedMicros).toBe(9_999_300)
  })

  it('finds a charge whose receipt says another amount (I9)', async () => {
    const customer = await aCustomer(world)
    const { holdId, settle } = await openHold(world, customer, 1_000)
    await settle(1_000)
    await world.db.query('UPDATE usage SET micros = 999 WHERE hold_id = $1', [holdId])
    const report = await verify(customer.accountId)
    expect(report.breaches).toMatchObject([{ invariant: 'I9', subject: holdId }])
  })

  it('loads everything again after Redis was emptied', async () => {
    const customer = await aCustomer(world)
    await (await openHold(world, customer, 1_000)).settle(1_000)
    await world.redis.send('FLUSHALL')
    expect(await world.engine.viewAccount(customer.accountId)).toBeNull()
    const rebuilt = await world.operations.rebuild(customer.accountId)
    expect(rebuilt).toEqual({ accounts: 1, keys: 1, failed: 0 })
    const view = await world.engine.viewAccount(customer.accountId)
    expect(view?.availableMicros).toBe(9_999_000)
  })

  it('counts limits that go beyond what can be counted as the most', async () => {
    const { accountId } = await aCustomer(world)
    const most = { micros: Number.MAX_SAFE_INTEGER }
    const limits = { credit_limit: most, overage_limit: most }
    expect((await world.admin('PATCH', `/accounts/${accountId}`, limits)).status).toBe(200)
    expect(invariants(await verify(accountId))).toEqual([])
    await world.admin('PATCH', `/accounts/${accountId}`, { credit_limit: 0, overage_limit: 0 })
  })
})

describe('doctor', () => {
  const doctor = (over: Partial<Parameters<typeof makeDoctor>[0]> = {}) =>
    makeDoctor({
      ...world,
      stripe: null,
      hasPrice: () => true,
      unpriced: () => [],
      adminToken: 'kD93-mfQ0aLx7_eWz2TbVn81sYc4RuHj',
      migrations: ['0001-core'],
      redis: null,
      ...over,
    })()
  const of = async (check: string, over: Parameters<typeof doctor>[0] = {}) =>
    (await doctor(over)).findings.find((one) => one.check === check)

  it('asks the real stores and says what to do', async () => {
    const report = await world.operations.doctor()
    const status = Object.fromEntries(report.findings.map((one) => [one.check, one.status]))
    expect(status).toMatchObject({
      'postgres version': 'ok',
      'redis version': 'ok',
      'redis eviction': 'ok',
      'redis persistence': 'ok',
      'clock of postgres': 'ok',
      'clock of the credit engine': 'ok',
    })
    expect(report.findings.every((one) => one.status === 'ok' || one.fix !== '')).toBe(true)
  })

  it('tells a Redis that evicts and has no AOF', async () => {
    const info =
      'redis_version:6.2.1\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:0\r\nrole:slave'
    const never = new Promise<unknown>(() => undefined)
    const send = () => Promise.resolve(info)
    const idle = { sendLate: () => never, onReconnect: noop, close: () => Promise.resolve() }
    const redis = { all: () => [{ name: 'redis', store: { ...idle, send } }] }
    const report = await doctor({ redis })
    const failed = report.findings.filter((one) => one.status === 'fail').map((one) => one.check)
    expect(report.ok).toBe(false)
    expect(failed).toEqual(
      expect.arrayContaining(['redis version', 'redis eviction', 'redis role']),
    )
    expect(await of('redis persistence', { redis })).toMatchObject({ status: 'warn' })
  })

  it('tells which scripts run under which number, and whether the node has them', async () => {
    await aCustomer(world).then((customer) => openHold(world, customer, 5))
    const redis = oneNode(world.redis)
    const scripts = scriptFacts(readScripts())
    const told = await of('credit scripts', { redis, scripts })
    expect(told).toMatchObject({ status: 'ok' })
    expect(told?.detail).toMatch(/version [0-9a-f]{8}, incarnation \d+, (\d+) of \1 loaded/)
    await world.redis.send('SCRIPT', 'FLUSH')
    const lost = await of('credit scripts', { redis, scripts })
    expect(lost).toMatchObject({ status: 'warn' })
    expect(lost?.detail).toContain(' 0 of ')
    const next = { ...scripts, digest: 'ffffffff' }
    expect((await of('credit scripts', { redis, scripts: next }))?.detail).toContain(
      'version ffffffff, not used yet; 1 other versions have run here',
    )
  })

  it('tells clocks that differ', async () => {
    const clock = { ...world.clock, now: () => Date.now() - 60_000 }
    expect(await of('clock of postgres', { clock })).toMatchObject({ status: 'fail' })
    const near = { ...world.clock, now: () => Date.now() - 1_000 }
    expect(await of('clock of postgres', { clock: near })).toMatchObject({ status: 'warn' })
  })

  it('tells migrations that are missing', async () => {
    const migrations = ['0001-core', '0002-next']
    const finding = await of('migrations', { migrations })
    expect(finding?.status).toBe('fail')
  })

  it('tells upstreams of which no model has a price', async () => {
    expect(await of('prices', { unpriced: () => ['local'] })).toMatchObject({
      status: 'warn',
      detail: 'no model of the upstream local has one: its requests are refused',
    })
  })

  it('tells models in use that lost their price', async () => {
    const customer = await aCustomer(world)
    await (await openHold(world, customer, 1_000)).settle(1_000)
    expect(await of('prices')).toMatchObject({ status: 'ok' })
    const priceless = await of('prices', { hasPrice: (_, model) => model !== 'gpt-4o' })
    expect(priceless).toMatchObject({
      status: 'warn',
      detail: expect.stringContaining('openai/gpt-4o') as string,
    })
  })

  it.each([
    [null, 'warn'],
    ['short', 'fail'],
    ['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'warn'],
    ['kD93-mfQ0aLx7_eWz2TbVn81sYc4RuHj', 'ok'],
  ])('judges the admin token %j: %s', async (adminToken, status) => {
    expect(await of('admin token', { adminToken })).toMatchObject({ status })
  })
})

function noop(): void {
  // nobody reconnects
}
