import Fastify, { type FastifyInstance } from 'fastify'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { planConfig } from '../access/plan-support.ts'
import { until } from '../support/until.ts'
import type { AdminDeps } from '../../src/admin/context.ts'
import { adminPlugin, makeAdminSurface } from '../../src/admin/plugin.ts'
import { aCustomer, ADMIN_TOKEN, makeCaller, makeWorld, openHold, textAt } from './world.ts'
import type { Reply, World } from './world.ts'

let world: World
const apps: FastifyInstance[] = []
beforeAll(async () => {
  world = await makeWorld()
  await world.entitle.publish(planConfig())
})
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()))
})
afterAll(() => world.close())

const DAY_MS = 86_400_000
const inDays = (days: number) => new Date(Date.now() + days * DAY_MS).toISOString()

/** Sends a body under a key to the operator's routes, some of whose parts are other ones. */
async function sender(other: Partial<AdminDeps> = {}) {
  const app = Fastify()
  apps.push(app)
  const surface = makeAdminSurface({ ...world, ...other })
  await app.register(adminPlugin, { surface, token: ADMIN_TOKEN, log: world.log })
  const call = makeCaller(app, '', ADMIN_TOKEN)
  return (path: string, body: object, key: string) =>
    call('POST', path, body, { 'idempotency-key': key })
}

/** As it is once the row of a key is dropped. */
const dropRows = () => world.db.query('DELETE FROM idempotent_requests')
const at = (days: number) => {
  const { clock } = world
  return { clock: { ...clock, now: () => clock.now() + days * DAY_MS } }
}

const comp = { plan: 'pro', reason: 'friend', expires_at: inDays(3) }
const pack = { credits: '5', kind: 'paid', reason: 'pack', expires_at: inDays(3) }

/** What one key makes, of an account. */
const makes = (own: string) =>
  [
    ['/accounts', { name: 'A' }, { name: 'B' }],
    ['/backend-keys', { name: 'a' }, { name: 'b' }],
    [`${own}/keys`, { name: 'a', expires_at: inDays(3) }, { name: 'b' }],
    [`${own}/overrides`, comp, { ...comp, access: 'allow' }],
    [`${own}/grants`, pack, { ...pack, credits: '6' }],
    [`${own}/adjustments`, { credits: '2', reason: 'gift' }, { credits: '3', reason: 'gift' }],
  ] as const

/** The name that an answer has for what was made. */
const nameOf = ({ body }: Reply): unknown => body.id ?? body.reference_id

describe('what was done under a key', () => {
  it('is answered again after a day, and after it has expired', async () => {
    const { accountId } = await aCustomer(world, '0')
    const [now, later] = [await sender(), await sender(at(9))]
    for (const [path, body] of makes(`/accounts/${accountId}`)) {
      const first = await now(path, body, 'again')
      expect([path, first.status]).toEqual([path, 201])
      const expected = [path, 200, nameOf(first)]
      const told = async () => {
        const reply = await later(path, body, 'again')
        return [path, reply.status, nameOf(reply)]
      }
      expect(await told()).toEqual(expected)
      await dropRows()
      expect(await told()).toEqual(expected)
    }
  })

  it('is never the answer to another body, not after a day either', async () => {
    const { accountId } = await aCustomer(world, '0')
    const send = await sender()
    for (const [path, body, other] of makes(`/accounts/${accountId}`)) {
      const first = await send(path, body, 'other')
      await dropRows()
      const second = await send(path, other, 'other')
      expect([path, nameOf(second)]).not.toEqual([path, nameOf(first)])
      expect([201, 409]).toContain(second.status)
    }
  })

  it('is answered again where it has been changed since', async () => {
    const { accountId } = await aCustomer(world, '0')
    const send = await sender()
    const path = `/accounts/${accountId}/keys`
    const id = textAt(await send(path, { name: 'a' }, 'k'), 'id')
    await world.admin('PATCH', `/keys/${id}`, { name: 'b' })
    expect(await send(path, { name: 'a' }, 'k')).toMatchObject({ status: 200, body: { id } })
  })
})

describe('a key that was given a new secret', () => {
  it('keeps it when an earlier request for one comes again, in the day and after it', async () => {
    const { accountId } = await aCustomer(world, '0')
    const send = await sender()
    const { body } = await send(`/accounts/${accountId}/keys`, { name: 'a' }, 'k')
    const path = `/keys/${String(body.id)}/rotate`
    const secrets = [await send(path, {}, 'one'), await send(path, {}, 'two')]
    expect(new Set(secrets.map((reply) => textAt(reply, 'key'))).size).toBe(2)
    const prefix = secrets[1]?.body.prefix
    const again = async () => {
      for (const key of ['one', 'two']) {
        const told = await send(path, {}, key)
        expect(told).toMatchObject({ status: 200, body: { key: null, prefix } })
      }
    }
    await again()
    await dropRows()
    await again()
    expect(textAt(await send(path, {}, 'three'), 'key')).toMatch(/^fb_test_/)
  })

  it('gets one secret for each of two requests that come at once with a repeat', async () => {
    const { keyId } = await aCustomer(world, '0')
    const send = await sender()
    const told: Promise<Reply>[] = []
    const waiting = `SELECT count(*)::int AS n FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'`
    await world.db.tx(async (tx) => {
      await tx.query('SELECT 1 FROM api_keys WHERE id = $1 FOR UPDATE', [keyId])
      for (const key of ['one', 'two', 'one']) {
        told.push(send(`/keys/${keyId}/rotate`, {}, key))
        await until(async () => (await world.db.query(waiting))[0]?.n === told.length)
      }
    })
    const secrets = (await Promise.all(told)).map(({ body }) => body.key)
    expect(secrets.map((secret) => secret !== null)).toEqual([true, true, false])
  })
})

describe('a notification that was given up', () => {
  it('is sent again once by one request, whatever became of it since', async () => {
    const { accountId } = await aCustomer(world, '0')
    const id = world.ids.uuid()
    const set = (state: string) =>
      world.db.query(
        `UPDATE notifications SET state = $2::text, done_at = CASE $2::text WHEN 'sent' THEN now() END
         WHERE id = $1`,
        [id, state],
      )
    await world.db.query(
      `INSERT INTO notifications (id, kind, occasion, channel, audience, account_id, data, state,
         attempts, due_at, created_at)
       VALUES ($1, 'balance_low', 'once', 'email', 'customer', $2, '{}', 'pending', 5, now(), now())`,
      [id, accountId],
    )
    const send = await sender()
    const retry = (key: string) => send(`/notifications/${id}/retry`, {}, key)
    expect((await retry('one')).status).toBe(404)
    await set('dead')
    const told = await Promise.all([1, 2, 3, 4].map(() => retry('one')))
    for (const reply of told) {
      expect(reply).toMatchObject({ status: 200, body: { id, state: 'pending', attempts: 0 } })
    }
    for (const state of ['sent', 'dead']) {
      await set(state)
      await dropRows()
      expect(await retry('one')).toMatchObject({ status: 200, body: { id, state } })
    }
    expect(await retry('two')).toMatchObject({ status: 200, body: { state: 'pending' } })
    expect((await retry('three')).status).toBe(404)
    const [audited] = await world.db.query(
      "SELECT count(*)::int AS n FROM audit_log WHERE action = 'notification.retry' AND subject = $1",
      [id],
    )
    expect(audited).toEqual({ n: 2 })
  })
})

describe('a comparison of the books', () => {
  it('that was begun by one request is not begun by it again', async () => {
    const send = await sender()
    const begin = (key: string) => send('/reconcile', { fix: false }, key)
    const told = await Promise.all([1, 2, 3, 4].map(() => begin('one')))
    expect(told.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    const [id, ...ids] = told.map((reply) => textAt(reply, 'id'))
    expect(ids).toEqual([id, id, id])
    const step = async () => (await send('/reconcile/step', {}, 'step')).body.check
    for (let check = await step(); check !== null;) check = await step()
    await dropRows()
    expect(textAt(await begin('one'), 'id')).toBe(id)
    expect(textAt(await begin('two'), 'id')).not.toBe(id)
  })
})

async function lose(done: Promise<unknown>): Promise<never> {
  await done
  throw new Error('lost')
}

/** These do what they do, and then their answer is lost. */
const lossy = ({ accounts, keys, exceptions, books }: World): Partial<AdminDeps> => ({
  accounts: { ...accounts, create: (...asked) => lose(accounts.create(...asked)) },
  exceptions: { ...exceptions, add: (...asked) => lose(exceptions.add(...asked)) },
  keys: {
    ...keys,
    create: (...asked) => lose(keys.create(...asked)),
    rotate: (...asked) => lose(keys.rotate(...asked)),
  },
  books: {
    ...books,
    grant: (...asked) => lose(books.grant(...asked)),
    adjust: (...asked) => lose(books.adjust(...asked)),
    reverse: (...asked) => lose(books.reverse(...asked)),
  },
})

describe('a request whose answer was lost in the middle', () => {
  const ROWS = `SELECT (SELECT count(*)::int FROM accounts) AS accounts,
    (SELECT count(*)::int FROM api_keys) AS keys,
    (SELECT count(*)::int FROM entitlement_overrides) AS exceptions,
    (SELECT count(*)::int FROM lots) AS lots,
    (SELECT count(*)::int FROM ledger_entries) AS entries,
    (SELECT coalesce(sum(change_seq), 0)::int FROM api_keys) AS rotations`

  it('is done once, however often and at once it comes again', async () => {
    const customer = await aCustomer(world, '10')
    const { holdId, settle } = await openHold(world, customer, 1_000)
    await settle(1_000)
    const [losing, send] = [await sender(lossy(world)), await sender()]
    const rows = async () => (await world.db.query(ROWS))[0]
    const asked = [
      ...makes(`/accounts/${customer.accountId}`),
      [`/receipts/${holdId}/reverse`, { reason: 'bad' }, { reason: 'worse' }],
      [`/keys/${customer.keyId}/rotate`, {}, { other: true }],
    ] as const
    for (const [path, body, other] of asked) {
      const before = await rows()
      expect([path, (await losing(path, body, 'lost')).status]).toEqual([path, 500])
      const after = await rows()
      expect(after).not.toEqual(before)
      const again = await Promise.all([1, 2, 3].map(() => send(path, body, 'lost')))
      expect(again.map(({ status }) => [path, status])).toEqual(again.map(() => [path, 200]))
      const reply = await send(path, other, 'lost')
      expect([path, reply.status]).toEqual([path, 400])
      expect(JSON.stringify(reply.body)).toContain('idempotency_key_reused')
      expect(await rows()).toEqual(after)
    }
  })
})
