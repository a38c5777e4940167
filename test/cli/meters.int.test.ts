import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeMeterViews } from '../../src/reporting/status.ts'
import { makeWorld, type World } from '../admin/world.ts'
import {
  CREDIT,
  DAY,
  HOUR,
  makeWorld as makeMeterWorld,
  type MeterWorld,
} from '../reporting/world.ts'
import { runAt } from './support.ts'

let world: World
let meters: MeterWorld
let url: string
let one: { id: string; customer: string }
beforeAll(async () => {
  world = await makeWorld()
  const { db } = world
  meters = await makeMeterWorld(db)
  await meters.meter()
  one = await meters.account()
  world.usage.views = makeMeterViews({ db, clock: meters.clock })
  url = await world.app.listen({ host: '127.0.0.1', port: 0 })
})
afterAll(async () => {
  await meters.stop()
  await world.close()
})

const farebox = (...args: readonly string[]) => runAt(url, args)
const newest = async () => String((await meters.reports(one)).at(-1)?.identifier)
const EVENTS = 'POST /v1/billing/meter_events'

/** Uses credits, which Stripe refuses. Answers the report's identifier and id. */
async function refused(credits: number) {
  await meters.use(one, credits * CREDIT)
  await meters.nextHour()
  await meters.process.seal()
  await meters.control('api-fault', { kind: 'error', status: 400, operation: EVENTS })
  await meters.process.reporter.drain()
  const identifier = await newest()
  const { body } = await world.admin('GET', `/meters/reports?state=refused&account_id=${one.id}`)
  const [row] = body.data as { id: string; identifier: string; value: number; at: string }[]
  expect(row).toMatchObject({ identifier, value: credits })
  return { identifier, id: String(row?.id), at: String(row?.at) }
}
const audited = (id: string) =>
  world.db.query("SELECT detail FROM audit_log WHERE action = 'meter.resend' AND subject = $1", [
    id,
  ])

test('without Stripe nothing is sent, and it says so', async () => {
  const answer = await farebox('meters', 'resend', `farebox_${'0'.repeat(48)}`)
  expect(answer).toMatchObject({ code: 1, out: '' })
  expect(answer.err).toContain('STRIPE_SECRET_KEY')
})

describe('farebox meters', () => {
  beforeAll(() => {
    world.usage.reporting = meters.process
  })

  test('resend tells one report again, by its identifier or its id, once each', async () => {
    for (const by of ['identifier', 'id'] as const) {
      const report = await refused(5)
      expect((await farebox('meters', 'status')).out).toMatch(/^ai_credits +refused +1 +5 /m)
      const before = meters.taken(one.customer)
      const sent = await farebox('meters', 'resend', report[by])
      expect(sent).toMatchObject({ code: 0, err: '', out: `${await newest()}: 5 to be sent` })
      expect(await newest()).not.toBe(report.identifier)
      await meters.process.reporter.drain()
      expect(meters.taken(one.customer) - before).toBe(5)
      // Its time is kept, and what was sent is not sent again.
      expect((await meters.reports(one)).at(-1)).toMatchObject({
        ...{ state: 'sent', at: Date.parse(report.at) },
      })
      for (const name of [report.identifier, report.id, await newest()]) {
        const again = await farebox('meters', 'resend', name)
        expect(again).toMatchObject({ code: 1, out: '' })
        expect(again.err).toContain('Only what was refused')
      }
      await meters.process.reporter.drain()
      expect(meters.taken(one.customer) - before).toBe(5)
      expect(await audited(report[by])).toEqual([
        { detail: { now: false } },
        { detail: { now: false } },
      ])
    }
  })

  test('resend --now dates it now; --json is the answer of the route', async () => {
    const report = await refused(3)
    await meters.advance(2 * DAY)
    const { code, out } = await farebox('meters', 'resend', report.identifier, '--now', '--json')
    expect(code).toBe(0)
    expect(JSON.parse(out)).toEqual({
      ...{ identifier: await newest(), value: 3 },
      at: new Date(meters.clock.now()).toISOString(),
    })
    await meters.process.reporter.drain()
    expect((await meters.reports(one)).at(-1)).toMatchObject({ state: 'sent', value: 3 })
    expect(await audited(report.identifier)).toEqual([{ detail: { now: true } }])
  })

  test.each([{ now: false }, { now: true }])(
    'resend under one Idempotency-Key is one, however often and at once it comes: %j',
    async (body) => {
      const { identifier, id, at } = await refused(4)
      const before = meters.taken(one.customer)
      const resend = (key: string) =>
        world.admin('POST', `/meters/reports/${id}/resend`, body, { 'idempotency-key': key })
      const sent = await Promise.all([1, 2, 3, 4].map(() => resend('again')))
      const made = { identifier: await newest(), value: 4, ...(body.now ? {} : { at }) }
      for (const told of sent) expect(told).toMatchObject({ status: 200, body: made })
      expect(made.identifier).not.toBe(identifier)
      await meters.process.reporter.drain()
      await world.db.query('DELETE FROM idempotent_requests')
      expect(await resend('again')).toEqual({ ...sent[0], headers: expect.anything() as object })
      expect((await resend('another')).status).toBe(400)
      await meters.process.reporter.drain()
      expect(meters.taken(one.customer) - before).toBe(4)
    },
  )

  test('resend refuses what names no report, by command and by route', async () => {
    const unknown = `farebox_${'0'.repeat(48)}`
    for (const name of [unknown, world.ids.uuid()]) {
      const answer = await farebox('meters', 'resend', name)
      expect(answer).toMatchObject({ code: 1, out: '' })
      expect(answer.err).toContain(`There is no report ${name}`)
    }
    expect(await farebox('meters', 'resend', 'in_1')).toMatchObject({ code: 2, out: '' })
    const call = (id: string, body: object) =>
      world.admin('POST', `/meters/reports/${id}/resend`, body)
    expect(await call(unknown, {})).toMatchObject({ status: 404 })
    expect(await call('in_1', {})).toMatchObject({ status: 400 })
    expect(await call(unknown, { now: 'yes' })).toMatchObject({ status: 400 })
    expect(await call(unknown, { later: true })).toMatchObject({ status: 400 })
  })

  test('diff compares with Stripe, and fails where they differ', async () => {
    await meters.advance(3 * HOUR)
    const at = (ms: number) => new Date(ms).toISOString()
    const times = ['--from', at(meters.clock.now() - 30 * DAY), '--to', at(meters.clock.now())]
    const diff = () => farebox('meters', 'diff', ...times, '--account', one.id)
    expect(await diff()).toMatchObject({ code: 0 })
    expect((await diff()).out).toMatch(/^[1-9]\d* hours agree\.$/)
    const [use] = meters.sim.simulator.world.all('usage')
    Object.assign(use ?? {}, { canceled: true })
    const found = await diff()
    expect(found.code).toBe(1)
    expect(found.out).toMatch(new RegExp(`ai_credits +${one.id} +${one.customer} +5 +5 +0$`, 'm'))
  })
})
