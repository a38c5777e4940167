import { afterAll, beforeAll, expect, test } from 'vitest'
import { planConfig } from '../access/plan-support.ts'
import { aCustomer, makeWorld, openHold, textAt, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await makeWorld()
  await world.entitle.publish(planConfig())
})
afterAll(() => world.close())

const until = new Date(Date.now() + 3_600_000).toISOString()

test('an exception rules the next request of every key until it ends, and is kept', async () => {
  const customer = await aCustomer(world)
  const place = `/accounts/${customer.accountId}`
  const other = await world.admin('POST', `${place}/keys`, { name: 'other' })
  const second = { ...customer, keyId: textAt(other, 'id') }
  const hold = async (of = customer) => {
    return openHold(world, of, 10).then(
      () => 'held',
      (error: unknown) => String(error),
    )
  }
  expect(await hold()).toBe('held')
  const add = (body: object) =>
    world.admin('POST', `${place}/overrides`, { reason: 'test', expires_at: until, ...body })
  const limited = await add({ rates: { max_concurrency: 2 } })
  expect(limited.status).toBe(201)
  expect(await hold(second)).toBe('held')
  const full = /This account's limit on concurrency/
  expect([await hold(), await hold(second)]).toEqual([
    expect.stringMatching(full),
    expect.stringMatching(full),
  ])
  const suspended = await add({ access: 'suspend' })
  expect(await hold()).toMatch(/suspended/)
  const end = (id: string) => world.admin('DELETE', `${place}/overrides/${id}`)
  expect((await end(textAt(suspended, 'id'))).body.removed_by).toBe('admin')
  expect(await hold()).toMatch(full)
  expect((await end(textAt(limited, 'id'))).status).toBe(200)
  expect(await hold()).toBe('held')
  expect((await world.operations.verify(customer.accountId))?.breaches).toEqual([])
  const rows = await world.db.query(
    "SELECT action FROM audit_log WHERE subject = $1 AND action LIKE 'entitlements.%'",
    [customer.accountId],
  )
  const actions = rows.map(({ action }) => action)
  expect(actions.filter((action) => action === 'entitlements.override')).toHaveLength(2)
  expect(actions.filter((action) => action === 'entitlements.end')).toHaveLength(2)
})

test('one that is asked for again under its Idempotency-Key is one, ended too', async () => {
  const { accountId } = await aCustomer(world)
  const place = `/accounts/${accountId}`
  const add = (key: string) => {
    const body = { plan: 'pro', reason: 'friend', expires_at: until }
    return world.admin('POST', `${place}/overrides`, body, { 'idempotency-key': key })
  }
  const made = await Promise.all(Array.from({ length: 10 }, () => add('comp')))
  expect(made.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
    ...Array<number>(9).fill(200),
    201,
  ])
  const ids = new Set(made.map((reply) => textAt(reply, 'id')))
  expect(ids.size).toBe(1)
  const [id = ''] = ids
  const end = await world.admin('DELETE', `${place}/overrides/${id}`)
  expect(end).toMatchObject({ status: 200, body: { removed_by: 'admin' } })
  expect(await add('comp')).toMatchObject({ status: 200, body: { id, removed_by: 'admin' } })
  const { body } = await world.admin('GET', `${place}/entitlements`)
  expect(body).toMatchObject({ entitlements: { state: 'none' }, overrides: [] })
  expect((await add('another')).status).toBe(201)
})

test('a comp gives a plan; what is not asked rightly is refused', async () => {
  const { accountId } = await aCustomer(world)
  const place = `/accounts/${accountId}`
  const comp = { plan: 'pro', reason: 'friend', expires_at: until }
  expect((await world.admin('POST', `${place}/overrides`, comp)).status).toBe(201)
  const { body } = await world.admin('GET', `${place}/entitlements`)
  expect(body.entitlements).toMatchObject({ state: 'comped', plan: 'pro', models: ['gpt-*'] })
  for (const wrong of [
    { reason: 'nothing', expires_at: until },
    { plan: 'pro', reason: 'old', expires_at: '2020-01-01' },
    { plan: 'pro', reason: 'ever', expires_at: '2990-01-01' },
    { plan: 'pro', expires_at: until },
    { rates: { requests_per_minute: 0 }, reason: 'none', expires_at: until },
  ]) {
    expect((await world.admin('POST', `${place}/overrides`, wrong)).status).toBe(400)
  }
  expect((await world.admin('POST', '/accounts/nobody/overrides', comp)).status).toBe(404)
  expect((await world.admin('GET', '/accounts/nobody/entitlements')).status).toBe(404)
})
