import { afterAll, describe, expect, test } from 'vitest'
import { ADMIN_TOKEN, startGateway, type Gateway } from '../support/gateway.ts'
import { freshDatabase, redisUrl } from '../support/stores.ts'
import { until } from '../support/until.ts'
import { SECRET, sign, snapshot } from './support.ts'

interface Answer {
  readonly status: number
  readonly body: unknown
}

async function call(gateway: Gateway, method: string, path: string): Promise<Answer> {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }
  const answer = await fetch(new URL(path, gateway.url), { method, headers })
  return { status: answer.status, body: await answer.json() }
}

async function deliver(gateway: Gateway, event: object): Promise<number> {
  const body = JSON.stringify(event)
  const headers = { 'stripe-signature': sign(body, Date.now()) }
  const url = new URL('/webhooks/stripe', gateway.url)
  return (await fetch(url, { method: 'POST', headers, body })).status
}

describe('a gateway with a Stripe key', async () => {
  const database = await freshDatabase()
  const gateway = await startGateway({
    databaseUrl: database.url,
    redisUrl: redisUrl(),
    config: {},
    env: { STRIPE_SECRET_KEY: 'sk_test_x', STRIPE_WEBHOOK_SECRET: `whsec_other, ${SECRET}` },
  })
  afterAll(async () => {
    await gateway.end()
    await database.drop()
  })
  const list = (query: string) => call(gateway, 'GET', `/admin/v1/stripe/events?${query}`)

  test('takes an event, works it off, shows it and works it off again', async () => {
    const event = snapshot('future.thing.happened', 'x_1')
    expect(await deliver(gateway, event)).toBe(200)
    await until(async () => {
      const { body } = await list('state=done&type=future.thing.happened')
      expect(body).toMatchObject({ data: [{ id: event.id, attempts: 1 }], next_cursor: null })
      return true
    })
    const replayed = await call(gateway, 'POST', `/admin/v1/stripe/events/${event.id}/replay`)
    expect(replayed).toMatchObject({ status: 200, body: { id: event.id } })
    await until(async () => {
      expect((await list('state=done')).body).toMatchObject({ data: [{ id: event.id }] })
      return true
    })
    const missing = await call(gateway, 'POST', '/admin/v1/stripe/events/evt_none/replay')
    expect(missing.status).toBe(404)
  })

  test('pages through events and counts deliveries', async () => {
    const events = [1, 2, 3].map((at) => snapshot('future.page', `x_${at}`))
    for (const event of events) expect(await deliver(gateway, event)).toBe(200)
    const first = await list('type=future.page&limit=2')
    expect(first.body).toMatchObject({ data: [{ id: events[2]?.id }, { id: events[1]?.id }] })
    const cursor = (first.body as { next_cursor: string }).next_cursor
    const second = await list(`type=future.page&limit=2&cursor=${cursor}`)
    expect(second.body).toMatchObject({ data: [{ id: events[0]?.id }], next_cursor: null })
    expect(await deliver(gateway, { ...snapshot('x', 'x'), id: 'no id' })).toBe(400)
    const metrics = await (await fetch(new URL('/metrics', gateway.url))).text()
    expect(metrics).toMatch(/farebox_stripe_deliveries_total{result="stored"} [34]\b/)
    expect(metrics).toContain('farebox_stripe_deliveries_total{result="malformed"} 1')
    expect(metrics).toContain('farebox_stripe_events{state="dead"} 0')
  })
})

test('a gateway without a Stripe key says so, and works', async () => {
  const database = await freshDatabase()
  const gateway = await startGateway({
    databaseUrl: database.url,
    redisUrl: redisUrl(),
    config: {},
    env: { STRIPE_WEBHOOK_SECRET: SECRET },
  })
  try {
    expect(await deliver(gateway, snapshot('invoice.paid', 'in_1'))).toBe(404)
    const answer = await call(gateway, 'GET', '/admin/v1/stripe/events')
    expect(answer).toMatchObject({ status: 404, body: { error: { code: 'unsupported' } } })
    expect((await call(gateway, 'GET', '/admin/v1/accounts')).status).toBe(200)
  } finally {
    await gateway.end()
    await database.drop()
  }
})
