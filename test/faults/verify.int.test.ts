import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Customer } from '../support/admin.ts'
import type { Gateway } from '../support/gateway.ts'
import { countOf, expectAtRest, expectBooks, verify } from './support/books.ts'
import { farebox } from './support/cli.ts'
import { redisKey } from './support/holds.ts'
import { JSON_MODEL } from './support/jobs.ts'
import { runJob, startLoad } from './support/load.ts'
import { startFaultWorld, type FaultWorld } from './support/world.ts'

const rebuiltReport = z.object({ accounts: z.number(), keys: z.number(), failed: z.number() })

let world: FaultWorld
let gateway: Gateway
beforeAll(async () => {
  world = await startFaultWorld()
  gateway = await world.gateway(0)
})
afterAll(() => world.end())

const countRows = async (table: string): Promise<number> =>
  Number((await world.sql(`SELECT count(*) FROM ${table}`))[0]?.count)

test('rebuild and verify under traffic change no balance and raise no alarm', async () => {
  const customers = await Promise.all([1, 2, 3].map(() => gateway.admin.customer('1000')))
  const load = startLoad({ gateways: [gateway], customers, lanes: 12 })
  await load.more(20)
  const [verified, rebuilt] = await Promise.all([
    farebox(gateway, 'verify'),
    farebox(gateway, 'rebuild'),
  ])
  expect(verified).toMatchObject({ code: 0 })
  expect(verified.out).toContain('All invariants hold')
  expect(rebuilt).toMatchObject({ code: 0 })
  expect(rebuilt.out).toContain('3 accounts and 3 keys; 0 failed')
  for (let round = 1; round <= 5; round += 1) {
    const [rebuild, check] = await Promise.all([
      gateway.admin.call('POST', '/admin/v1/rebuild', {}),
      gateway.admin.call('POST', '/admin/v1/verify', {}),
    ])
    expect(await rebuild.json()).toEqual({ accounts: 3, keys: 3, failed: 0 })
    expect(await check.json()).toMatchObject({ ok: true, breaches: [], undecided: [] })
    await load.more(10)
  }
  const outcomes = await load.stop()
  expect(countOf(outcomes, 'complete')).toBe(outcomes.length)
  await expectBooks(world, gateway, customers, outcomes)
})

test('rebuild fills an emptied redis from the ledger while traffic flows, idle accounts too', async () => {
  const busy = await Promise.all([1, 2].map(() => gateway.admin.customer('1000')))
  const idle = await gateway.admin.customer('7')
  await runJob(gateway, idle.apiKey, JSON_MODEL)
  await expectAtRest(gateway, [idle])
  const account = redisKey('acct', idle.accountId)
  const before = await world.redis.hget(account, 'avail')
  const load = startLoad({ gateways: [gateway], customers: busy, lanes: 8 })
  for (let round = 1; round <= 3; round += 1) {
    await load.more(10)
    await world.redis.flushall('SYNC')
    expect(await world.redis.exists(account)).toBe(0)
    const answer = await gateway.admin.call('POST', '/admin/v1/rebuild', {})
    const rebuilt = rebuiltReport.parse(await answer.json())
    // All of the database's, whoever asks for something meanwhile or does not.
    expect(rebuilt.failed).toBe(0)
    expect(rebuilt.accounts).toBe(await countRows('accounts'))
    expect(rebuilt.keys).toBe(await countRows('api_keys'))
    expect(await world.redis.hget(account, 'avail')).toBe(before)
    expect(
      await world.redis.exists(redisKey('key', idle.accountId, `${idle.keyId} ${idle.accountId}`)),
    ).toBe(1)
  }
  await load.more(10)
  const outcomes = await load.stop()
  expect(countOf(outcomes, 'broken')).toBe(0)
  await expectBooks(world, gateway, busy, outcomes)
  const { accounts_loaded: loaded } = await verify(gateway)
  expect(loaded).toBe(await countRows('accounts'))
})

/** A customer with one charge, and nothing wrong with it. */
async function aCharged(): Promise<{ customer: Customer; holdId: string }> {
  const customer = await gateway.admin.customer('10')
  const { requestId } = await runJob(gateway, customer.apiKey, JSON_MODEL)
  if (requestId === null) throw new Error('no request id')
  await expectAtRest(gateway, [customer])
  return { customer, holdId: requestId }
}

/** verify names the rule and the account or hold, and its exit code says so; then it is undone. */
async function expectBreach(
  customer: Customer,
  named: readonly string[],
  undo: () => Promise<unknown>,
): Promise<void> {
  const found = await farebox(gateway, 'verify', '--account', customer.accountId)
  expect(found.code).toBe(1)
  for (const name of named) expect(found.out).toContain(name)
  await undo()
  expect(await verify(gateway, customer.accountId)).toMatchObject({ ok: true })
}

describe.concurrent('a breach made by hand', () => {
  test('verify names an account whose balance in redis is off by one micro', async () => {
    const { customer } = await aCharged()
    const key = redisKey('acct', customer.accountId)
    expect(await world.redis.hexists(key, 'avail')).toBe(1)
    await world.redis.hincrby(key, 'avail', 1)
    const rebuild = () => farebox(gateway, 'rebuild', '--account', customer.accountId)
    await expectBreach(customer, ['I2', customer.accountId], rebuild)
  })

  test('verify names a hold whose entries were edited with the triggers off', async () => {
    const { customer, holdId } = await aCharged()
    const edit = (by: string) =>
      world.sql(`SET session_replication_role = replica;
      UPDATE ledger_entries SET micros = micros ${by} WHERE reference_id = '${holdId}'`)
    await edit('- 7')
    await expectBreach(customer, ['I1', 'I9', holdId], () => edit('+ 7'))
  })

  test('verify names a charge without its receipt', async () => {
    const { customer, holdId } = await aCharged()
    await world.sql(`CREATE TABLE kept AS SELECT * FROM usage WHERE hold_id = '${holdId}';
    DELETE FROM usage WHERE hold_id = '${holdId}'`)
    await expectBreach(customer, ['I9', holdId], () =>
      world.sql('INSERT INTO usage SELECT * FROM kept; DROP TABLE kept'),
    )
  })
})
