import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectSound } from '../ledger/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { EndedError, endingAt } from './ending.ts'
import { CREDIT, makeWorld, MINUTE, type MeterWorld } from './world.ts'

let own: TestDb
let world: MeterWorld
beforeAll(async () => {
  own = await testDb('postgres', 12)
  world = await makeWorld(own.db)
  await world.meter()
})
afterAll(async () => {
  await expectSound(own.db)
  await world.stop()
  await own[Symbol.asyncDispose]()
})

async function runOnce(process: MeterWorld['process']): Promise<void> {
  await process.seal()
  await process.reporter.drain()
}

test.each(['before', 'after'] as const)(
  'ended %s any statement, the next process tells exactly what is owed',
  async (when) => {
    for (let n = 1; ; n += 1) {
      const one = await world.account()
      await world.use(one, 3 * CREDIT)
      await world.nextHour()
      const { wrap, state } = endingAt(n, when)
      await runOnce(world.makeProcess({ db: wrap })).catch((error: unknown) => {
        expect(error).toBeInstanceOf(EndedError)
      })
      await world.advance(10 * MINUTE)
      await runOnce(world.process)
      expect([n, world.taken(one.customer)]).toEqual([n, 3])
      if (!state.ended) break
    }
    expect(await world.findings()).toEqual([])
  },
)

test.each(['before', 'after'] as const)(
  'ended %s any statement of a move to the next invoice, it is moved once',
  async (when) => {
    for (let n = 1; ; n += 1) {
      const one = await world.account()
      await world.use(one, 3 * CREDIT)
      await world.nextHour()
      await runOnce(world.process)
      // As if the invoice of its time had been final before.
      await own.db.query(
        `INSERT INTO meter_periods (invoice_id, event_name, account_id, start_at, end_at,
           finalized_at)
         VALUES ($1, 'ai_credits', $2, $3::timestamptz - interval '1 day', $3,
                 $3::timestamptz - interval '1 hour')`,
        [`in_${one.id}`, one.id, new Date(world.clock.now())],
      )
      const identifier = String((await world.reports(one))[0]?.identifier)
      await world.advance(10 * MINUTE)
      const { wrap, state } = endingAt(n, when)
      const dying = world.makeProcess({ db: wrap })
      await dying.resend(identifier, true).catch((error: unknown) => {
        expect(error).toBeInstanceOf(EndedError)
      })
      await world.process.resend(identifier, true)
      await runOnce(world.process)
      const values = (await world.reports(one)).map(({ value, state: of }) => [value, of])
      expect([n, world.taken(one.customer), values]).toEqual([
        ...[n, 3],
        ['3', '3', '-3'].map((value) => [Number(value), 'sent']),
      ])
      if (!state.ended) break
    }
  },
)
