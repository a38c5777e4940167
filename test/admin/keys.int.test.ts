import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { aCustomer, makeWorld, openHold, textAt, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await makeWorld()
})
afterAll(async () => {
  await world.close()
})

const limits = {
  models: ['gpt-*'],
  budget: { credits: '5', period: 'month' },
  rate: { requests_per_minute: 60 },
  max_concurrency: 2,
  expires_at: '2099-01-01T00:00:00Z',
}

describe('keys', () => {
  it('show their secret once and their limits always', async () => {
    const { accountId } = await aCustomer(world)
    const path = `/accounts/${accountId}/keys`
    const made = await world.admin('POST', path, { name: 'app', ...limits })
    expect(made.status).toBe(201)
    expect(textAt(made, 'key')).toMatch(/^fb_test_/)
    const shown = {
      name: 'app',
      models: ['gpt-*'],
      endpoints: null,
      budget: { micros: 5_000_000, credits: '5', period: 'month' },
      rate: { requests_per_minute: 60, tokens_per_minute: null },
      max_concurrency: 2,
      expires_at: '2099-01-01T00:00:00.000Z',
    }
    expect(made.body).toMatchObject(shown)
    const again = await world.admin('GET', `/keys/${textAt(made, 'id')}`)
    expect(again.body).toMatchObject(shown)
    expect(JSON.stringify(again.body)).not.toContain(textAt(made, 'key'))
    const list = await world.admin('GET', `${path}?limit=1`)
    expect(list.body.next_cursor).toEqual(expect.any(String))
  })

  it('asked for twice with one Idempotency-Key are one key, its secret shown once', async () => {
    const { accountId } = await aCustomer(world)
    const send = (name: string) =>
      world.admin('POST', `/accounts/${accountId}/keys`, { name }, { 'idempotency-key': 'one' })
    const [first, second, other] = [await send('a'), await send('a'), await send('b')]
    expect(second).toMatchObject({ status: 200, body: { id: textAt(first, 'id'), key: null } })
    expect(other).toMatchObject({ status: 400 })
    expect(JSON.stringify(other.body)).toContain('idempotency_key_reused')
  })

  it('are not made when they have expired already', async () => {
    const { accountId } = await aCustomer(world)
    const past = { name: 'a', expires_at: new Date(Date.now() - 1).toISOString() }
    for (const path of [`/accounts/${accountId}/keys`, '/backend-keys']) {
      const reply = await world.admin('POST', path, past, { 'idempotency-key': 'past' })
      expect(reply).toMatchObject({ status: 400, body: { error: { param: 'expires_at' } } })
    }
  })

  it('change one limit without losing the others, and lift one with null', async () => {
    const { accountId } = await aCustomer(world)
    const made = await world.admin('POST', `/accounts/${accountId}/keys`, { name: 'a', ...limits })
    const path = `/keys/${textAt(made, 'id')}`
    const changed = await world.admin('PATCH', path, { max_concurrency: 9, budget: null })
    expect(changed.body).toMatchObject({ max_concurrency: 9, budget: null, models: ['gpt-*'] })
    const rate = { rate: { tokens_per_minute: 1_000 } }
    expect((await world.admin('PATCH', path, rate)).body).toMatchObject({
      rate: { requests_per_minute: 60, tokens_per_minute: 1_000 },
    })
    expect((await world.admin('PATCH', path, { rate: null })).body).toMatchObject({
      rate: { requests_per_minute: null, tokens_per_minute: null },
    })
  })

  it('that are revoked are refused by the credit engine before the answer', async () => {
    const customer = await aCustomer(world)
    const { settle } = await openHold(world, customer, 1_000)
    await settle(1_000)
    expect(await world.engine.viewKey(customer.accountId, customer.keyId)).toMatchObject({
      status: 'active',
    })
    const gone = await world.admin('DELETE', `/keys/${customer.keyId}`)
    expect(gone.body).toMatchObject({ status: 'revoked', revoked_at: expect.any(String) as string })
    expect(await world.engine.viewKey(customer.accountId, customer.keyId)).toMatchObject({
      status: 'revoked',
    })
    await expect(openHold(world, customer, 1_000)).rejects.toThrow()
    expect((await world.admin('DELETE', `/keys/${customer.keyId}`)).status).toBe(200)
    expect((await world.admin('POST', `/keys/${customer.keyId}/rotate`)).status).toBe(404)
  })

  it('that are rotated open the account with the new secret only', async () => {
    const customer = await aCustomer(world)
    expect((await world.as(customer.secret)('GET', '/balance')).status).toBe(200)
    const rotated = await world.admin('POST', `/keys/${customer.keyId}/rotate`)
    await world.authenticator.poll()
    expect((await world.as(customer.secret)('GET', '/balance')).status).toBe(401)
    expect((await world.as(textAt(rotated, 'key'))('GET', '/balance')).status).toBe(200)
  })

  it('are rotated once by one request, however often it is sent', async () => {
    const customer = await aCustomer(world)
    const path = `/keys/${customer.keyId}/rotate`
    const rotate = (name: string) => world.admin('POST', path, {}, { 'idempotency-key': name })
    const first = await rotate('one')
    expect(first).toMatchObject({ status: 200, body: { key: expect.any(String) as string } })
    const again = await Promise.all([rotate('one'), rotate('one')])
    const prefix = textAt(first, 'prefix')
    for (const reply of again) {
      expect(reply).toMatchObject({ status: 200, body: { key: null, prefix } })
    }
    await world.authenticator.poll()
    expect((await world.as(textAt(first, 'key'))('GET', '/balance')).status).toBe(200)
    const other = await rotate('two')
    expect(textAt(other, 'key')).not.toBe(textAt(first, 'key'))
    await world.admin('DELETE', `/keys/${customer.keyId}`)
    expect((await rotate('two')).status).toBe(404)
  })

  it('of servers belong to no account', async () => {
    const made = await world.admin('POST', '/backend-keys', { name: 'server' })
    expect(made.body).toMatchObject({ kind: 'backend', account_id: null })
    expect(textAt(made, 'key')).toMatch(/^fbk_test_/)
    const list = await world.admin('GET', '/backend-keys')
    expect(list.body).toMatchObject({ data: [{ name: 'server' }] })
    expect((await world.as(textAt(made, 'key'))('GET', '/balance')).status).toBe(400)
  })

  it('allow no model by an empty list, nor all of them: it is refused', async () => {
    const customer = await aCustomer(world)
    for (const list of ['models', 'endpoints']) {
      const path = `/accounts/${customer.accountId}/keys`
      const reply = await world.admin('POST', path, { name: 'a', [list]: [] })
      expect(reply).toMatchObject({ status: 400, body: { error: { param: list } } })
    }
  })

  it('are not made for an account that does not exist, nor with a budget of two amounts', async () => {
    expect((await world.admin('POST', '/accounts/nobody/keys', { name: 'a' })).status).toBe(404)
    const budget = { credits: '1', micros: 2, period: 'day' }
    const reply = await world.admin('POST', '/accounts/nobody/keys', { name: 'a', budget })
    expect(reply).toMatchObject({ status: 400, body: { error: { param: 'budget.credits' } } })
  })
})
