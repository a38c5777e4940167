import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import type { Customer } from '../support/admin.ts'
import type { Gateway } from '../support/gateway.ts'
import { startPostgres, type PostgresServer } from '../support/stores.ts'
import { until } from '../support/until.ts'
import { expectAtRest, readCharges, verify } from './support/books.ts'
import { startFaultWorld, type FaultWorld } from './support/world.ts'

const GRANT = 1_000
const MICROS = 1_000_000
const HELD = 5
const RACES = Number(process.env.WORK_RACES ?? 12)

let postgres: PostgresServer
let world: FaultWorld
let gateways: [Gateway, Gateway]
beforeAll(async () => {
  postgres = await startPostgres()
  world = await startFaultWorld({ postgres, config: { post_wait_ms: 200 } })
  gateways = await Promise.all([world.gateway(0), world.gateway(1)])
})
afterAll(async () => {
  await world.end()
  await postgres.stop()
})

const hold = z.looseObject({ hold_id: z.string(), status: z.string() })
interface Told {
  /** 0 = no answer. */
  readonly status: number
  readonly body: unknown
}

async function call(
  gateway: Gateway,
  { apiKey }: Customer,
  path: string,
  body: object,
): Promise<Told> {
  try {
    const answer = await fetch(`${gateway.url}/farebox/v1/holds${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return { status: answer.status, body: await answer.json() }
  } catch {
    return { status: 0, body: null }
  }
}

async function opened(customer: Customer, more: object = {}): Promise<string> {
  const told = await call(gateways[0], customer, '', { credits: String(HELD), ...more })
  expect(told).toMatchObject({ status: 201 })
  return hold.parse(told.body).hold_id
}

const openedMany = (customer: Customer, count: number, more: object = {}): Promise<string[]> =>
  Promise.all(Array.from({ length: count }, () => opened(customer, more)))

/** Says the same until it is heard, as a careful maker does. */
const settled = (gateway: () => Gateway, customer: Customer, id: string, credits: number) =>
  until(async () => {
    const told = await call(gateway(), customer, `/${id}/settle`, { credits: String(credits) })
    expect([0, 200, 503]).toContain(told.status)
    return told.status === 200
  })

const amountOf = (n: number): number => 1 + (n % 4)

/** Each was charged what its maker said, once, and nothing else was. */
async function expectCharged(
  customer: Customer,
  credits: ReadonlyMap<string, number>,
): Promise<void> {
  await expectAtRest(gateways[1], [customer])
  const charges = await readCharges(world, [customer])
  const found = [...charges].map(([id, { micros, moved }]) => [id, micros, moved])
  const wanted = [...credits].map(([id, count]) => [id, count * MICROS, count * MICROS])
  expect(found.sort()).toEqual(wanted.sort())
  expect(await verify(gateways[1])).toMatchObject({ ok: true, breaches: [] })
}

const newCustomer = (): Promise<Customer> => gateways[1].admin.customer(String(GRANT))

test('redis away in the middle: a settle is charged all the same, and what was open goes on', async () => {
  const customer = await newCustomer()
  const ids = await openedMany(customer, 6)
  const [kept = '', ...ending] = ids
  await world.redisServer.kill()
  const done = ending.map((id, n) => settled(() => gateways[n % 2] ?? gateways[0], customer, id, 2))
  expect((await call(gateways[0], customer, '', { credits: '1' })).status).toBe(503)
  const beat = await call(gateways[0], customer, `/${kept}/heartbeat`, { credits: '1' })
  expect(beat.status).toBe(503)
  await world.redisServer.restart() // empty
  await Promise.all(done)
  const again = await until(async () => {
    const told = await call(gateways[1], customer, `/${kept}/heartbeat`, { credits: '3' })
    return told.status === 200 && told
  })
  expect(again.body).toMatchObject({ status: 'held', progress: { micros: 3 * MICROS } })
  const { held } = await gateways[0].admin.balance(customer.apiKey)
  expect(held.micros).toBe(HELD * MICROS)
  await settled(() => gateways[0], customer, kept, 4)
  await expectCharged(customer, new Map([[kept, 4], ...ending.map((id) => [id, 2] as const)]))
})

test('postgres away in the middle: a settle that was not heard is repeated, and charged once', async () => {
  const customer = await newCustomer()
  const ids = await openedMany(customer, 12)
  const done = ids.map((id, n) =>
    settled(() => gateways[n % 2] ?? gateways[0], customer, id, amountOf(n)),
  )
  await postgres.down('QUIT') // some of them are under way
  const [first = ''] = ids
  expect([200, 503]).toContain(
    (await call(gateways[0], customer, `/${first}/settle`, { credits: '1' })).status,
  )
  await postgres.restart()
  await Promise.all(done)
  await expectCharged(customer, new Map(ids.map((id, n) => [id, amountOf(n)])))
})

test('kill -9 in the middle of settling: another one carries on what was decided, once', async () => {
  const customer = await newCustomer()
  const [heard, silent] = [
    await openedMany(customer, 16),
    await openedMany(customer, 16, { ttl_seconds: 5 }),
  ]
  const [dying, heir] = gateways
  // Makers of the second half die with it: whatever it came to, nobody says it again.
  const answers = silent.map((id) => call(dying, customer, `/${id}/settle`, { credits: '2' }))
  let target = dying
  const done = heard.map((id, n) => settled(() => target, customer, id, amountOf(n)))
  await Promise.race(answers)
  await world.kill(dying)
  target = heir
  await Promise.all(done)
  const told = await Promise.all(answers)
  await expectAtRest(heir, [customer])
  const charges = await readCharges(world, [customer])
  for (const [n, id] of silent.entries()) {
    const charged = charges.get(id)?.micros
    expect([undefined, 2 * MICROS]).toContain(charged)
    if (told[n]?.status === 200) expect(charged).toBe(2 * MICROS)
  }
  const decided = silent.filter((id) => charges.has(id)).map((id) => [id, 2] as const)
  await expectCharged(
    customer,
    new Map([...heard.map((id, n) => [id, amountOf(n)] as const), ...decided]),
  )
  await until(async () => {
    const open = await world.sql(`SELECT id FROM work_holds
      WHERE account_id = '${customer.accountId}' AND state IN ('settling', 'releasing')`)
    return open.length === 0
  })
  gateways = [await world.gateway(1), heir]
})

const act = fc.oneof(
  fc.record({ what: fc.constant('settle' as const), credits: fc.integer({ min: 0, max: 7 }) }),
  fc.record({ what: fc.constant('heartbeat' as const), credits: fc.integer({ min: 0, max: 7 }) }),
  fc.record({ what: fc.constant('release' as const) }),
)
const race = fc.array(fc.tuple(act, fc.integer({ min: 0, max: 1 })), {
  minLength: 2,
  maxLength: 10,
})

test('whatever is said at once at two processes, a hold ends in one way and is charged so', async () => {
  const customer = await newCustomer()
  const endings = new Map<string, number>()
  await fc.assert(
    fc.asyncProperty(race, async (acts) => {
      const id = await opened(customer)
      const told = await Promise.all(
        acts.map(async ([{ what, ...amount }, n]) => {
          const credits = 'credits' in amount ? amount.credits : null
          const body = credits === null ? {} : { credits: String(credits) }
          const { status } = await call(
            gateways[n] ?? gateways[0],
            customer,
            `/${id}/${what}`,
            body,
          )
          return { what, credits, status }
        }),
      )
      for (const { status } of told) expect([200, 409]).toContain(status)
      const won = told.filter(({ what, status }) => what !== 'heartbeat' && status === 200)
      const ways = new Set(won.map(({ what, credits }) => `${what} ${String(credits)}`))
      const isEnded = acts.some(([{ what }]) => what !== 'heartbeat')
      expect(ways.size).toBe(isEnded ? 1 : 0)
      if (!isEnded)
        expect((await call(gateways[0], customer, `/${id}/release`, {})).status).toBe(200)
      // Said again, it is the same; anything else is refused.
      for (const { what, credits, status } of told) {
        if (what === 'heartbeat') continue
        const body = credits === null ? {} : { credits: String(credits) }
        const again = await call(gateways[1], customer, `/${id}/${what}`, body)
        expect(again.status).toBe(status)
      }
      const charged = won.find(({ what }) => what === 'settle')?.credits
      if (charged !== undefined && charged !== null) endings.set(id, charged)
    }),
    { numRuns: RACES },
  )
  await expectCharged(customer, endings)
})
