import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Customer } from '../support/admin.ts'
import type { Gateway } from '../support/gateway.ts'
import { runSql } from '../support/stores.ts'
import { until } from '../support/until.ts'
import { expectSpent, startWorld, type World } from './support/world.ts'

let world: World
let other: Gateway
let backend: { id: string; key: string }

const created = z.object({ id: z.string(), key: z.string() })
const backendKey = async () => {
  const body = { name: 'server' }
  const answer = await world.gateway.admin.call('POST', '/admin/v1/backend-keys', body)
  return created.parse(await answer.json())
}

beforeAll(async () => {
  const prices = [{ upstream: 'gpu', model: 'a100', per_second_usd: '0.001' }]
  const holds = { lease_ms: 3_000 }
  world = await startWorld({ processes: 2, config: { holds, prices } })
  other = world.gateways[1] ?? world.gateway
  backend = await backendKey()
})
afterAll(() => world.end())

interface Told {
  readonly status: number
  readonly body: Record<string, unknown>
}

async function call(
  key: string,
  path: string,
  body?: unknown,
  { gateway = world.gateway, headers = {} }: { gateway?: Gateway; headers?: object } = {},
): Promise<Told> {
  const answer = await fetch(`${gateway.url}/farebox/v1/holds${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return {
    status: answer.status,
    body: z.record(z.string(), z.unknown()).parse(await answer.json()),
  }
}

async function opened(customer: Customer, body: object = { credits: '4' }): Promise<string> {
  const { status, body: hold } = await call(customer.apiKey, '', body)
  expect({ status, hold }).toMatchObject({ status: 201 })
  return z.string().parse(hold.hold_id)
}

const held = async (customer: Customer): Promise<number> =>
  (await world.gateway.admin.balance(customer.apiKey)).held.micros

describe('a hold for work elsewhere', () => {
  it('sets credits aside, and is charged once by whichever process hears of its end', async () => {
    const customer = await world.customer('10')
    const id = await opened(customer, { credits: '4', metadata: { job: 'j1' } })
    expect(await held(customer)).toBe(4_000_000)
    const settled = await call(
      customer.apiKey,
      `/${id}/settle`,
      { credits: '1.5' },
      { gateway: other },
    )
    expect(settled).toMatchObject({
      status: 200,
      body: { status: 'settled', cost: { credits: '1.5' }, late: false, metadata: { job: 'j1' } },
    })
    expect(await call(customer.apiKey, `/${id}/settle`, { credits: '1.5' })).toEqual(settled)
    expect(await call(customer.apiKey, `/${id}/settle`, { credits: '2' })).toMatchObject({
      status: 409,
    })
    expect(await call(customer.apiKey, `/${id}/release`, {})).toMatchObject({ status: 409 })
    expect(await call(customer.apiKey, `/${id}/heartbeat`, {})).toMatchObject({ status: 409 })
    await expectSpent(world, customer, 10, 1_500_000)
    const receipt = await world.gateway.admin.receipt(id)
    expect(receipt).toMatchObject({ protocol: 'hold', status: 'posted', cost: { credits: '1.5' } })
  })

  it('is refused where credits do not do, and where they are held', async () => {
    const customer = await world.customer('5')
    expect((await call(customer.apiKey, '', { credits: '6' })).status).toBe(402)
    const id = await opened(customer)
    expect((await call(customer.apiKey, '', { credits: '4' })).status).toBe(429)
    expect(await call(customer.apiKey, `/${id}/release`, {})).toMatchObject({
      status: 200,
      body: { status: 'released', cost: null },
    })
    expect(await call(customer.apiKey, `/${id}/release`, {})).toMatchObject({ status: 200 })
    expect(await call(customer.apiKey, `/${id}/settle`, { credits: '1' })).toMatchObject({
      status: 409,
    })
    await expectSpent(world, customer, 5, 0)
  })

  it('charges more than was held in full, and zero as zero', async () => {
    const customer = await world.customer('10')
    const [more, none] = [await opened(customer), await opened(customer)]
    await call(customer.apiKey, `/${more}/settle`, { credits: '6' })
    await call(customer.apiKey, `/${none}/settle`, { credits: '0' })
    await expectSpent(world, customer, 10, 6_000_000)
  })

  it('never holds more than the balance under a hundred at once', async () => {
    const customer = await world.customer('10')
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, at) =>
        call(customer.apiKey, '', { credits: '1' }, at % 2 === 0 ? {} : { gateway: other }),
      ),
    )
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(10)
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(90)
  })

  it('is priced by units at the price it named', async () => {
    const customer = await world.customer('100')
    const price = { upstream: 'gpu', model: 'a100' }
    const id = await opened(customer, { price, units: { seconds: 100 } })
    const most = await held(customer)
    expect(most).toBeGreaterThan(0)
    expect((await call(customer.apiKey, `/${id}/settle`, { credits: '1' })).status).toBe(400)
    const settled = await call(customer.apiKey, `/${id}/settle`, { units: { seconds: 50 } })
    expect(settled.body).toMatchObject({ cost: { micros: most / 2 } })
    const receipt = await world.gateway.admin.receipt(id)
    expect(receipt).toMatchObject({
      model: 'a100',
      usage: { seconds: 50 },
      provider_cost_usd: '0.05',
    })
    const unknown = { price: { upstream: 'gpu', model: 'b200' }, units: { seconds: 1 } }
    expect((await call(customer.apiKey, '', unknown)).status).toBe(404)
  })

  it('is priced as when it was made, though its price is changed or gone since', async () => {
    const customer = await world.customer('100')
    const price = { upstream: 'gpu', model: 'a100' }
    const ids = [0, 1, 2].map(() => opened(customer, { price, units: { seconds: 100 } }))
    const [settled = '', beaten = '', plain = ''] = await Promise.all(ids)
    const each = (await held(customer)) / 3
    const target = { upstream: 'gpu', model: 'a100' }
    const entry = { ...target, per_second_usd: '0.5' }
    const { admin } = world.gateway
    const put = await admin.call('PUT', '/admin/v1/prices', { kind: 'cost', entry })
    expect(put.status).toBe(200)
    const anew = { price, units: { seconds: 1 } }
    const dear = await call(customer.apiKey, '', anew)
    expect(dear.body).toMatchObject({ held: { micros: each * 5 } })
    await call(customer.apiKey, `/${String(dear.body.hold_id)}/release`, {})
    const units = { seconds: 50 }
    const beat = await call(customer.apiKey, `/${beaten}/heartbeat`, { units })
    expect(beat).toMatchObject({ status: 200, body: { progress: { micros: each / 2 } } })
    await call(customer.apiKey, `/${plain}/settle`, { units })
    await admin.call('DELETE', '/admin/v1/prices', { kind: 'cost', ...target })

    const ignorant = await world.join({ prices: [] })
    const at = { gateway: ignorant }
    expect((await call(customer.apiKey, '', anew, at)).status).toBe(404)
    const answer = await call(customer.apiKey, `/${settled}/settle`, { units }, at)
    expect(answer).toMatchObject({ status: 200, body: { cost: { micros: each / 2 } } })
    expect(await call(customer.apiKey, `/${settled}/settle`, { units })).toEqual(answer)
    const end = await call(customer.apiKey, `/${beaten}/settle`, { units: { seconds: 75 } }, at)
    expect(end.body).toMatchObject({ cost: { micros: (each * 3) / 4 } })
    await expectSpent(world, customer, 100, each / 2 + (each * 3) / 4 + each / 2)
    const receipts = await Promise.all([settled, beaten, plain].map((id) => admin.receipt(id)))
    const costs = receipts.map(({ provider_cost_usd }) => provider_cost_usd)
    expect(costs).toEqual(['0.05', '0.075', '0.05'])
    expect(new Set(receipts.map(({ price_version }) => price_version)).size).toBe(1)
    await ignorant.end()
  })

  it('takes any unit that its price is for, and no others in the end', async () => {
    const customer = await world.customer('100')
    const entry = { upstream: 'gpu', model: 'disk', per_response_mb_usd: '0.01' }
    const { admin } = world.gateway
    await admin.call('PUT', '/admin/v1/prices', { kind: 'cost', entry })
    const price = { upstream: 'gpu', model: 'disk' }
    const id = await opened(customer, { price, units: { response_bytes: 9_000_000 } })
    const settle = (units: object) => call(customer.apiKey, `/${id}/settle`, { units })
    expect((await settle({ seconds: 50 })).status).toBe(400)
    expect((await settle({ response_bytes: 2_000_000, requests: 1 })).status).toBe(200)
    expect(await admin.receipt(id)).toMatchObject({ provider_cost_usd: '0.02' })
    const gpu = { upstream: 'gpu', model: 'a100' }
    const part = await opened(customer, { price: gpu, units: { seconds: 20 } })
    const seconds = { units: { seconds: 12.34 } }
    expect((await call(customer.apiKey, `/${part}/settle`, seconds)).status).toBe(200)
    expect((await call(customer.apiKey, `/${part}/settle`, seconds)).status).toBe(200)
    expect(await admin.receipt(part)).toMatchObject({
      ...{ usage: { seconds: 12.34 }, provider_cost_usd: '0.01234' },
    })
    const none = await opened(customer, { price, units: { response_bytes: 1 } })
    const zero = await call(customer.apiKey, `/${none}/settle`, { units: { response_bytes: 0 } })
    expect(zero.body).toMatchObject({ status: 'settled', cost: { micros: 0 } })
  })

  it('refuses what is no hold', async () => {
    const { apiKey } = await world.customer('10')
    const price = { upstream: 'gpu', model: 'a100' }
    const bodies = [
      {},
      { credits: '-1' },
      { credits: 1.5 },
      { credits: '1', units: { seconds: 1 } },
      { units: { seconds: 1 } },
      { price, units: { seconds: -1 } },
      { price, units: { seconds: 1e300 } },
      { price, units: { apples: 1 } },
      { price, units: { characters: 1_000, output_tokens: 7 } }, // it prices seconds
      { credits: '1', ttl_seconds: 0 },
      { credits: '1', ttl_seconds: 86_401 },
      { credits: '1', metadata: { deep: {} } },
      { credits: '1', subject_ref: 'somebody' },
    ]
    for (const body of bodies)
      expect([body, (await call(apiKey, '', body)).status]).toEqual([body, 400])
    const below = await call(apiKey, '', { credits: '-1' })
    const message = 'credits: must not be below zero'
    expect(below.body).toMatchObject({ error: { message, param: 'credits' } })
    expect((await call(apiKey, '/nonsense/settle', { credits: '1' })).status).toBe(400)
    expect((await call(apiKey, `/${crypto.randomUUID()}/settle`, { credits: '1' })).status).toBe(
      404,
    )
  })
})

describe('a caller that repeats itself', () => {
  it('makes one hold with one Idempotency-Key, also at once and at two processes', async () => {
    const customer = await world.customer('10')
    const headers = { 'idempotency-key': 'job-1' }
    const again = (gateway: Gateway) =>
      call(customer.apiKey, '', { credits: '1' }, { gateway, headers })
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) => again(at % 2 === 0 ? world.gateway : other)),
    )
    expect(new Set(answers.map(({ body }) => body.hold_id)).size).toBe(1)
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
    await until(async () => (await held(customer)) === 1_000_000)
    const reused = await call(customer.apiKey, '', { credits: '2' }, { headers })
    expect(reused).toMatchObject({
      status: 400,
      body: { error: { code: 'idempotency_key_reused' } },
    })
  })

  it('may name its metadata in another order', async () => {
    const customer = await world.customer('10')
    const headers = { 'idempotency-key': 'ordered' }
    const open = (metadata: object) =>
      call(customer.apiKey, '', { credits: '1', metadata }, { headers })
    const first = await open({ job: '1', run: '2' })
    expect(first.status).toBe(201)
    const again = await open({ run: '2', job: '1' })
    expect(again).toMatchObject({ status: 200, body: { hold_id: first.body.hold_id } })
  })

  it('settles with one amount of two that race', async () => {
    const customer = await world.customer('10')
    const id = await opened(customer)
    const amounts = ['1', '2', '1', '2', '1', '2']
    const answers = await Promise.all(
      amounts.map((credits, at) =>
        call(customer.apiKey, `/${id}/settle`, { credits }, at % 2 === 0 ? {} : { gateway: other }),
      ),
    )
    const won = answers.filter(({ status }) => status === 200)
    expect(won).toHaveLength(3)
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(3)
    const { micros } = z.object({ micros: z.number() }).parse(won[0]?.body.cost)
    await expectSpent(world, customer, 10, micros)
  })
})

// Each waits for a hold of its own to lapse.
describe.concurrent('a maker that falls silent', () => {
  it('loses a hold without progress, and may still charge it, late', async () => {
    const customer = await world.customer('10')
    const id = await opened(customer, { credits: '4', ttl_seconds: 5 })
    await until(async () => (await held(customer)) === 0)
    expect(await call(customer.apiKey, `/${id}`)).toMatchObject({ body: { status: 'lapsed' } })
    expect((await call(customer.apiKey, `/${id}/heartbeat`, {})).status).toBe(409)
    expect(await held(customer)).toBe(0)
    const settled = await call(customer.apiKey, `/${id}/settle`, { credits: '3' })
    expect(settled).toMatchObject({ status: 200, body: { status: 'settled', late: true } })
    expect(await world.gateway.admin.receipt(id)).toMatchObject({ late: true })
    await expectSpent(world, customer, 10, 3_000_000)
  })

  it('is charged at its progress, and the last word rules', async () => {
    const customer = await world.customer('10')
    const id = await opened(customer, { credits: '4', ttl_seconds: 60 })
    const beat = { credits: '2.5', ttl_seconds: 5 }
    expect(await call(customer.apiKey, `/${id}/heartbeat`, beat, { gateway: other })).toMatchObject(
      {
        status: 200,
        body: { progress: { credits: '2.5' }, status: 'held' },
      },
    )
    const falls = await call(customer.apiKey, `/${id}/heartbeat`, { credits: '1', ttl_seconds: 5 })
    expect(falls.body).toMatchObject({ progress: { credits: '2.5' } })
    await until(async () => {
      const { posted } = await world.gateway.admin.balance(customer.apiKey)
      return posted.micros === 7_500_000
    })
    expect((await call(customer.apiKey, `/${id}/release`, {})).status).toBe(409)
    const settled = await call(customer.apiKey, `/${id}/settle`, { credits: '2' })
    expect(settled.body).toMatchObject({ late: true, cost: { credits: '2' } })
    await expectSpent(world, customer, 10, 2_000_000)
  })

  it('has an end carried out that was decided and not reached', async () => {
    const customer = await world.customer('10')
    const id = await opened(customer)
    await runSql(world.databaseUrl ?? '', [
      `UPDATE work_holds SET state = 'settling', settled_micros = 1000000,
              changed_at = now() - interval '1 minute' WHERE id = '${id}'`,
    ])
    await until(async () => {
      const { posted } = await world.gateway.admin.balance(customer.apiKey)
      return posted.micros === 9_000_000
    })
    await expectSpent(world, customer, 10, 1_000_000)
  })
})

describe('who did not make it', () => {
  it('touches neither the hold of another account nor that of a backend key', async () => {
    const [mine, theirs] = [await world.customer('10'), await world.customer('10')]
    const stranger = await backendKey()
    const ref = `user-${crypto.randomUUID()}`
    const patch = { subject_ref: ref }
    await world.gateway.admin.call('PATCH', `/admin/v1/accounts/${mine.accountId}`, patch)
    const own = await opened(mine, { credits: '1' })
    const made = await call(backend.key, '', { credits: '1', subject_ref: ref })
    expect(made).toMatchObject({ status: 201, body: { account_id: mine.accountId } })
    const ofBackend = z.string().parse(made.body.hold_id)
    const attempts: [string, string][] = [
      [theirs.apiKey, own],
      [backend.key, own],
      [stranger.key, ofBackend],
      [mine.apiKey, ofBackend],
    ]
    for (const [key, id] of attempts) {
      expect((await call(key, `/${id}`)).status).toBe(404)
      expect((await call(key, `/${id}/heartbeat`, {})).status).toBe(404)
      expect((await call(key, `/${id}/settle`, { credits: '0' })).status).toBe(404)
      expect((await call(key, `/${id}/release`, {})).status).toBe(404)
    }
    const settled = await call(backend.key, `/${ofBackend}/settle`, { credits: '1' })
    expect(settled.status).toBe(200)
    await call(mine.apiKey, `/${own}/release`, {})
    await expectSpent(world, mine, 10, 1_000_000)
    expect((await call(backend.key, '', { credits: '1' })).status).toBe(400)
    expect((await call(backend.key, '', { credits: '1', subject_ref: 'nobody' })).status).toBe(404)
  })
})
