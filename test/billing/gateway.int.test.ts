import { afterAll, describe, expect, test } from 'vitest'
import { runCli } from '../../src/cli.ts'
import { makeStripe } from '../../src/billing/stripe.ts'
import { serveStripe } from '../../src/demo/stripe/server.ts'
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

/** As a person in a terminal would see it. */
async function farebox(gateway: Gateway, args: readonly string[]) {
  const lines = { out: [] as string[], err: [] as string[] }
  const code = await runCli(args, {
    ...{ url: gateway.url, adminToken: ADMIN_TOKEN, quickstart: null, version: '0.0.0-test' },
    ...{ serve: () => Promise.resolve(0), migrate: null, openLocal: null, fetch },
    setUpStripe: () => Promise.resolve({ steps: [], environment: {} }),
    replay: () => Promise.reject(new Error('not here')),
    newReference: () => 'made-up',
    out: (text) => lines.out.push(text),
    err: (text) => lines.err.push(text),
  })
  return { code, out: lines.out.join('\n'), err: lines.err.join('\n') }
}

describe('a gateway with a Stripe key', async () => {
  const database = await freshDatabase()
  const startS = Math.floor(Date.now() / 1000) - 3_600
  const longAgoS = startS - 50 * 86_400
  const sim = await serveStripe({ port: 0, seed: 5, frozenAtS: longAgoS, wallMs: Date.now })
  const gateway = await startGateway({
    databaseUrl: database.url,
    redisUrl: redisUrl(),
    config: {},
    env: {
      ...{ STRIPE_SECRET_KEY: 'sk_test_x', STRIPE_WEBHOOK_SECRET: `whsec_other, ${SECRET}` },
      STRIPE_API_BASE: sim.simulator.world.base,
    },
  })
  afterAll(async () => {
    await gateway.end()
    await sim.stop()
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

  test('a sync fetches what was never delivered, from a moment on and up to another', async () => {
    const { base } = sim.simulator.world
    const stripe = makeStripe({ secretKey: 'sk_test_x', apiBase: base })
    const advance = (seconds: number) =>
      fetch(`${base}/_control/advance`, { method: 'POST', body: JSON.stringify({ seconds }) })
    const old = await stripe.paymentIntents.create({ amount: 500, currency: 'usd' })
    await advance(startS - longAgoS)
    const made: string[] = []
    for (const at of [0, 1, 2]) {
      await stripe.customers.create({ name: `c${at}` })
      await advance(600)
      made.push((await stripe.events.list({ limit: 1 })).data[0]?.id ?? '')
    }
    const iso = (s: number): string => new Date(s * 1000).toISOString()
    const ids = async () => {
      const { body } = await list('type=customer.created')
      const { data } = body as { data: { id: string; source: string }[] }
      return data.map(({ id }) => id).toReversed()
    }
    const args = ['stripe', 'sync', '--since', iso(startS - 60)]
    const first = await farebox(gateway, [...args, '--before', iso(startS + 300)])
    expect(first).toMatchObject({
      ...{ code: 0, err: '' },
      out: 'Stripe has 1 events of that time; 1 had never arrived.',
    })
    expect(await ids()).toEqual(made.slice(0, 1))
    const all = await farebox(gateway, args)
    expect(all.out).toBe('Stripe has 3 events of that time; 2 had never arrived.')
    expect((await ids()).toSorted()).toEqual(made.toSorted())
    expect((await farebox(gateway, args)).out).toContain('; 0 had never arrived.')
    const newest = await farebox(gateway, [
      ...['stripe', 'events', '--type', 'customer.created', '--limit', '2'],
    ])
    expect(newest.out).toMatch(/customer\.created[\s\S]+\n\nMore with --cursor \d+$/)
    const rest = await farebox(gateway, [
      ...['stripe', 'events', '--type', 'customer.created', '--cursor'],
      newest.out.split(' ').at(-1) ?? '',
    ])
    for (const id of made) expect(`${newest.out}${rest.out}`.split(id)).toHaveLength(2)
    const replayed = await farebox(gateway, ['stripe', 'replay', made[0] ?? ''])
    expect(replayed).toMatchObject({
      code: 0,
      out: expect.stringContaining(made[0] ?? '') as string,
    })
    expect((await farebox(gateway, ['stripe', 'replay', 'evt_none'])).code).toBe(1)
    expect((await farebox(gateway, ['stripe', 'replay', 'not an id'])).code).toBe(2)
    const older = await farebox(gateway, ['stripe', 'sync', '--since', iso(longAgoS)])
    expect(older.out).toBe(
      'Stripe has 3 events of that time; 0 had never arrived.\n' +
        'Of before its oldest event it has 1 objects; 1 are looked at.',
    )
    const synced = await list('type=payment_intent.synced')
    expect(synced.body).toMatchObject({ data: [{ object_id: old.id, source: 'sync' }] })
    const fault = { kind: 'rate_limit', operation: 'GET /v1/events', times: 9 }
    const init = { method: 'POST', body: JSON.stringify(fault) }
    await fetch(`${base}/_control/api-fault`, init)
    expect(await farebox(gateway, args)).toMatchObject({
      ...{ code: 1, err: expect.stringContaining('Stripe takes no more calls') as string },
    })
    for (const bad of [['--since', 'yesterday'], [], ['--since', iso(startS), '--before', 'x']]) {
      expect((await farebox(gateway, ['stripe', 'sync', ...bad])).code).not.toBe(0)
    }
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
