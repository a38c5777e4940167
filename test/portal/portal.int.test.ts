import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { aCustomer, makeWorld, openHold, textAt, type World } from '../admin/world.ts'
import { until } from '../support/until.ts'

const SUBJECT = 'x-farebox-subject'

let world: World
beforeAll(async () => {
  world = await makeWorld()
})
afterAll(async () => {
  await world.close()
})

describe('the customer', () => {
  it('sees credits that are held, then charged, then posted', async () => {
    const customer = await aCustomer(world)
    const me = world.as(customer.secret)
    const { holdId, settle } = await openHold(world, customer, 2_000_000)
    expect((await me('GET', '/balance')).body).toMatchObject({
      account_id: customer.accountId,
      available: { micros: 8_000_000, credits: '8' },
      held: { credits: '2' },
      posted: { credits: '10' },
      debt: { micros: 0 },
      lots: [{ kind: 'paid', remaining: { credits: '10' } }],
    })
    expect((await me('GET', `/receipts/${holdId}`)).body).toMatchObject({
      request_id: holdId,
      status: 'held',
      cost: { micros: 0 },
      held: { credits: '2' },
    })
    await settle(1_500_000)
    expect((await me('GET', '/balance')).body).toMatchObject({
      available: { credits: '8.5' },
      held: { micros: 0 },
      posted: { credits: '8.5' },
    })
    expect((await me('GET', `/receipts/${holdId}`)).body).toMatchObject({
      status: 'posted',
      model: 'gpt-4o',
      cost: { micros: 1_500_000, credits: '1.5' },
      provider_cost_usd: '0.00123',
      usage: { input_tokens: 12, output_tokens: 34 },
      entries: [{ micros: -1_500_000, line: 'lot' }],
      late: false,
    })
  })

  it('sees the receipts of its own account only', async () => {
    const [mine, other] = [await aCustomer(world), await aCustomer(world)]
    const { holdId, settle } = await openHold(world, other, 1_000)
    const me = world.as(mine.secret)
    expect((await me('GET', `/receipts/${holdId}`)).status).toBe(404)
    await settle(1_000)
    expect((await me('GET', `/receipts/${holdId}`)).status).toBe(404)
    expect((await me('GET', '/usage')).body).toEqual({ data: [], next_cursor: null })
    expect((await world.as(other.secret)('GET', `/receipts/${holdId}`)).status).toBe(200)
  })

  it('pages through its usage, newest first, within times', async () => {
    const customer = await aCustomer(world)
    const ids: string[] = []
    for (let n = 0; n < 3; n += 1) {
      const { holdId, settle } = await openHold(world, customer, 1_000)
      await settle(1_000)
      ids.push(holdId)
    }
    const me = world.as(customer.secret)
    const first = await me('GET', '/usage?limit=2')
    expect(first.body).toMatchObject({
      data: [{ request_id: ids[2] }, { request_id: ids[1] }],
      next_cursor: ids[1],
    })
    const rest = await me('GET', `/usage?limit=2&cursor=${ids[1] ?? ''}`)
    expect(rest.body).toMatchObject({ data: [{ request_id: ids[0] }], next_cursor: null })
    expect((await me('GET', '/usage?to=2020-01-01')).body).toMatchObject({ data: [] })
    expect((await me('GET', '/usage?from=2020-01-01T00:00:00%2B02:00')).body).toMatchObject({
      data: [{}, {}, {}],
    })
    expect((await me('GET', '/usage?from=yesterday')).status).toBe(400)
  })

  it('refuses a filter that its usage does not have, and takes its key and subject there', async () => {
    const { accountId, secret } = await aCustomer(world)
    await world.admin('PATCH', `/accounts/${accountId}`, { subject_ref: 'filtered' })
    const made = await world.admin('POST', '/backend-keys', { name: 'server' })
    const refused = await world.as(secret)('GET', '/usage?since=2020-01-01')
    expect(refused).toMatchObject({
      status: 400,
      body: {
        error: { code: 'invalid_request', message: expect.stringContaining('since') as string },
      },
    })
    const named = 'subject_ref=filtered'
    for (const query of [named, `${named}&${named}`]) {
      const reply = await world.as(textAt(made, 'key'))('GET', `/usage?limit=1&${query}`)
      expect(reply).toMatchObject({ status: 200, body: { data: [] } })
    }
    const reply = await world.app.inject({ url: `/farebox/v1/usage?limit=1&key=${secret}` })
    expect(reply.statusCode).toBe(200)
  })

  it('is named once by a server, in the header or in the query', async () => {
    const made = await world.admin('POST', '/backend-keys', { name: 'server' })
    const server = world.as(textAt(made, 'key'))
    for (const ref of ['one', 'two']) {
      await world.admin('POST', '/accounts', { name: ref, id: ref, subject_ref: ref })
    }
    const asked = (query: string, ref?: string) =>
      server('GET', `/balance${query}`, undefined, ref === undefined ? {} : { [SUBJECT]: ref })
    const one = { status: 200, body: { account_id: 'one' } }
    expect(await asked('?subject_ref=one')).toMatchObject(one)
    expect(await asked('', 'one')).toMatchObject(one)
    expect(await asked('?subject_ref=one', 'one')).toMatchObject(one)
    const twice = { status: 400, body: { error: { code: 'invalid_request' } } }
    expect(await asked('?subject_ref=two', 'one')).toMatchObject(twice)
    expect(await asked('?subject_ref=one&subject_ref=two')).toMatchObject(twice)
    expect(await asked('')).toMatchObject(twice)
  })

  it('may send its key as any SDK does', async () => {
    const { secret } = await aCustomer(world)
    const url = '/farebox/v1/balance'
    for (const headers of [{ 'x-api-key': secret }, { 'x-goog-api-key': secret }]) {
      expect((await world.app.inject({ url, headers })).statusCode).toBe(200)
    }
    expect((await world.app.inject({ url: `${url}?key=${secret}` })).statusCode).toBe(200)
    const refused = await world.app.inject({ url, headers: { 'x-api-key': 'nonsense' } })
    expect(refused.statusCode).toBe(401)
    expect(refused.json()).toMatchObject({ error: { code: 'invalid_api_key' } })
  })
})

describe('the operator', () => {
  it('reverses a receipt once, and the credits are back before the answer', async () => {
    const customer = await aCustomer(world)
    const { holdId, settle } = await openHold(world, customer, 4_000_000)
    const inFlight = `/receipts/${holdId}?account_id=${customer.accountId}`
    expect((await world.admin('GET', inFlight)).body).toMatchObject({ status: 'held' })
    expect((await world.admin('GET', `/receipts/${holdId}`)).status).toBe(404)
    await settle(3_000_000)
    expect((await world.admin('GET', `/receipts/${holdId}`)).body).toMatchObject({
      status: 'posted',
    })
    // Until it is cleared from Redis, what is free is less by the charge.
    await until(async () => {
      const view = await world.engine.viewAccount(customer.accountId)
      return view?.holds.length === 0
    })
    const path = `/receipts/${holdId}/reverse`
    const first = await world.admin('POST', path, { reason: 'bad answer' })
    expect(first).toMatchObject({
      status: 201,
      body: { reversed: { credits: '3' }, created: true },
    })
    const second = await world.admin('POST', path, { reason: 'bad answer' })
    expect(second).toMatchObject({ status: 200, body: { created: false } })
    expect((await world.admin('GET', `/receipts/${holdId}`)).body).toMatchObject({
      ...{ status: 'posted', cost: { credits: '3' }, reversed: { credits: '3' }, entries: [] },
    })
    const view = await world.engine.viewAccount(customer.accountId)
    expect(view?.availableMicros).toBe(10_000_000)
    const unknown = '0199aaaa-0000-7000-8000-000000000000'
    const reply = await world.admin('POST', `/receipts/${unknown}/reverse`, { reason: 'x' })
    expect(reply.status).toBe(404)
    expect((await world.admin('GET', '/receipts/not-an-id')).status).toBe(400)
  })

  it('overrides a price, sees which source rules, and lifts it again', async () => {
    const asked = '/prices?upstream=openai&model=gpt-4o'
    expect((await world.admin('GET', asked)).body).toMatchObject({ source: 'seed' })
    const entry = {
      upstream: 'openai',
      model: 'gpt-4o',
      input_usd_per_mtok: '9',
      output_usd_per_mtok: '9',
    }
    const put = await world.admin('PUT', '/prices', { kind: 'cost', entry })
    expect(put.body).toMatchObject({ version: expect.stringMatching(/^admin:/) as string })
    expect((await world.admin('GET', asked)).body).toMatchObject({ source: 'admin' })
    const target = { kind: 'cost', upstream: 'openai', model: 'gpt-4o' }
    expect((await world.admin('DELETE', '/prices', target)).body).toEqual({ removed: true })
    expect((await world.admin('GET', asked)).body).toMatchObject({ source: 'seed' })
    const bad = { ...entry, input_usd_per_mtok: 0.1 }
    expect((await world.admin('PUT', '/prices', { kind: 'cost', entry: bad })).status).toBe(400)
    expect((await world.admin('GET', '/prices?upstream=openai&model=nope')).status).toBe(404)
  })

  it('pages through findings by state', async () => {
    const id = () => world.ids.uuid()
    for (const [state, subject] of [
      ['open', 'a'],
      ['fixed', 'b'],
      ['open', 'c'],
    ] as const) {
      await world.db.query(
        `INSERT INTO findings (id, kind, severity, subject, evidence, state, first_seen, last_seen)
         VALUES ($1, 'test', 'urgent', $2, '{"n":1}', $3, $4, $4)`,
        [id(), subject, state, new Date()],
      )
    }
    const page = await world.admin('GET', '/findings?limit=1')
    expect(page.body).toMatchObject({ data: [{ subject: 'c', evidence: { n: 1 } }] })
    const cursor = String(page.body.next_cursor)
    const rest = await world.admin('GET', `/findings?limit=1&cursor=${cursor}`)
    expect(rest.body).toMatchObject({ data: [{ subject: 'a' }], next_cursor: null })
    const all = await world.admin('GET', '/findings?state=any')
    expect(all.body).toMatchObject({ data: [{}, {}, {}] })
  })
})

describe('the OpenAPI document', () => {
  it('has every route, its parameters and its body, from the schemas that check them', async () => {
    const reply = await world.app.inject('/openapi.json')
    expect(reply.json()).toMatchObject({
      openapi: '3.1.0',
      paths: {
        '/admin/v1/accounts/{id}/grants': {
          post: {
            parameters: [{ name: 'id', in: 'path', required: true }, { name: 'Idempotency-Key' }],
            requestBody: {
              required: true,
              content: { 'application/json': { schema: { required: ['kind', 'reason'] } } },
            },
          },
        },
        '/farebox/v1/balance': { get: { security: [{ client: [] }] } },
        '/admin/v1/verify': { post: { requestBody: { required: false } } },
      },
    })
    const { paths } = reply.json<{ paths: Record<string, object> }>()
    const routes = Object.values(paths).flatMap((path) => Object.keys(path))
    expect(routes.length).toBeGreaterThanOrEqual(25)
  })
})
