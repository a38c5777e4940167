import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { aCustomer, makeWorld, textAt, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await makeWorld()
})
afterAll(async () => {
  await world.close()
})

const REUSED = { status: 400, body: { error: { code: 'idempotency_key_reused', param: null } } }
const AT_ONCE = 50

const post = (path: string, body: object | string, key: string) =>
  world.admin('POST', path, body, { 'idempotency-key': key })
/** From now on a row that is added fails its request. */
async function keepNoRows({ db }: World): Promise<void> {
  await db.query(`CREATE FUNCTION keep_none() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'a row was added'; END $$`)
  await db.query(`CREATE TRIGGER keep_none BEFORE INSERT ON idempotent_requests
    FOR EACH ROW EXECUTE FUNCTION keep_none()`)
}
const balanceOf = async (accountId: string) =>
  (await world.admin('GET', `/accounts/${accountId}`)).body.balance

describe('an Idempotency-Key of an operator names one request', () => {
  it.each([
    [{ name: 'A' }, { name: 'B' }],
    [{ name: 'A' }, { name: 'A', subject_ref: 'late' }],
    [
      { name: 'A', subject_ref: 'one' },
      { name: 'A', subject_ref: 'two' },
    ],
    [
      { name: 'A', id: 'given' },
      { name: 'B', id: 'given' },
    ],
  ])('for one account: %j, then %j', async (body, other) => {
    const key = JSON.stringify([body, other])
    const first = await post('/accounts', body, key)
    expect(first.status).toBe(201)
    expect(await post('/accounts', other, key)).toMatchObject(REUSED)
    const again = await post('/accounts', body, key)
    expect(again).toMatchObject({ status: 200, body: { id: textAt(first, 'id'), name: 'A' } })
    const made = await world.admin('GET', '/accounts?subject_ref=two')
    expect(made.body.data).toEqual([])
  })

  it('for one grant and one adjustment, whatever reference they name', async () => {
    const { accountId } = await aCustomer(world, '0')
    const grant = { credits: '5', kind: 'paid', reason: 'pack', reference_id: 'try-1' }
    const path = `/accounts/${accountId}/grants`
    expect((await post(path, grant, 'order-17')).status).toBe(201)
    const { reference_id: _, ...nameless } = grant
    for (const other of [{ ...grant, reference_id: 'try-2' }, nameless]) {
      expect(await post(path, other, 'order-17')).toMatchObject(REUSED)
    }
    expect((await post(path, grant, 'order-17')).status).toBe(200)
    const down = { credits: '-1', reason: 'mistake', reference_id: 'try-1' }
    const adjustments = `/accounts/${accountId}/adjustments`
    expect((await post(adjustments, down, 'order-17')).status).toBe(201)
    const second = await post(adjustments, { ...down, reference_id: 'try-2' }, 'order-17')
    expect(second).toMatchObject(REUSED)
    expect(await balanceOf(accountId)).toMatchObject({ posted: { credits: '4' } })
  })

  it('until it is refused: then another one may have the key', async () => {
    const { accountId } = await aCustomer(world, '0')
    const path = `/accounts/${accountId}/grants`
    const grant = { credits: '5', kind: 'paid', reason: 'pack' }
    expect((await post(path, { ...grant, credits: '-5' }, 'k')).status).toBe(400)
    expect((await post(path, { ...grant, kind: 'gold' }, 'k')).status).toBe(400)
    expect((await post(path, grant, 'k')).status).toBe(201)
    // One that was done keeps it, whatever a later look at it comes to.
    await world.admin('POST', `/accounts/${accountId}/grants`, { ...grant, reference_id: 'later' })
    expect(await post(path, { ...grant, credits: '6' }, 'k')).toMatchObject(REUSED)
  })

  it('by its value: fields in another order and white space are the same request', async () => {
    const { accountId } = await aCustomer(world, '0')
    const one =
      '{"name":"k","rate":{"requests_per_minute":1,"tokens_per_minute":2},"models":["a","b"]}'
    const same =
      '{ "models": ["a","b"],\n "rate": {"tokens_per_minute": 2.0, "requests_per_minute": 1}, "name": "k" }'
    const first = await post(`/accounts/${accountId}/keys`, one, 'ordered')
    expect(first.status).toBe(201)
    const again = await post(`/accounts/${accountId}/keys`, same, 'ordered')
    expect(again).toMatchObject({ status: 200, body: { id: textAt(first, 'id') } })
    const swapped = one.replace('"a","b"', '"b","a"')
    expect(await post(`/accounts/${accountId}/keys`, swapped, 'ordered')).toMatchObject(REUSED)
  })

  it('without a write where its body is not valid', async () => {
    const { accountId } = await aCustomer(world, '0')
    const path = `/accounts/${accountId}/grants`
    const grant = { credits: '5', kind: 'paid', reason: 'pack' }
    await keepNoRows(world)
    for (const body of [
      { ...grant, kind: 'gold' },
      { ...grant, reason: 'a\u0000b' },
      { ...grant, more: true },
      `${'['.repeat(20_000)}${']'.repeat(20_000)}`,
    ]) {
      expect((await post(path, body, 'never')).status).toBe(400)
    }
    await world.db.query('DROP TRIGGER keep_none ON idempotent_requests')
    expect((await post(path, grant, 'never')).status).toBe(201)
  })

  it('unless its body is nested deeper than can be compared: that is told, as no fault', async () => {
    const { keyId } = await aCustomer(world, '0')
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    const reply = await post(`/keys/${keyId}/rotate`, deep, 'deep')
    expect(reply).toMatchObject({ status: 400, body: { error: { code: 'invalid_json' } } })
    expect((await post(`/keys/${keyId}/rotate`, {}, 'deep')).status).toBe(200)
  })

  it('of one route: each account and each path has keys of its own', async () => {
    const [one, two] = [await aCustomer(world, '0'), await aCustomer(world, '0')]
    for (const { accountId } of [one, two]) {
      for (const [path, body] of [
        ['grants', { credits: '5', kind: 'paid', reason: 'pack' }],
        ['adjustments', { credits: '2', reason: 'gift' }],
        ['keys', { name: 'app' }],
      ] as const) {
        expect((await post(`/accounts/${accountId}/${path}`, body, 'same')).status).toBe(201)
      }
    }
    expect(await balanceOf(one.accountId)).toMatchObject({ posted: { credits: '7' } })
  })

  it('however many come at once', async () => {
    const bodies = Array.from({ length: AT_ONCE }, (_, n) => ({ name: n % 2 === 0 ? 'A' : 'B' }))
    const replies = await Promise.all(bodies.map((body) => post('/accounts', body, 'at once')))
    const done = replies.filter(({ status }) => status !== 400)
    expect(done).toHaveLength(AT_ONCE / 2)
    expect(done.filter(({ status }) => status === 201)).toHaveLength(1)
    expect(new Set(done.map((reply) => textAt(reply, 'id'))).size).toBe(1)
    expect(new Set(done.map((reply) => textAt(reply, 'name'))).size).toBe(1)
    for (const reply of replies) if (!done.includes(reply)) expect(reply).toMatchObject(REUSED)
  })
})
