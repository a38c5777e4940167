import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import Fastify from 'fastify'
import { adminPlugin, makeAdminSurface } from '../../src/admin/plugin.ts'
import { aCustomer, ADMIN_TOKEN, makeWorld, textAt, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await makeWorld()
})
afterAll(async () => {
  await world.close()
})

const error = (code: string, param: string | null = null) => ({
  error: { code, param, message: expect.any(String) as string, type: expect.any(String) as string },
})

describe('the admin API', () => {
  it('is closed to everyone without the token, in the envelope of errors', async () => {
    for (const authorization of [
      '',
      'Bearer wrong',
      `Bearer ${ADMIN_TOKEN}x`,
      `Basic ${ADMIN_TOKEN}`,
    ]) {
      const reply = await world.app.inject({
        url: '/admin/v1/accounts',
        headers: authorization === '' ? {} : { authorization },
      })
      expect(reply.statusCode).toBe(401)
      expect(reply.json()).toEqual(error('invalid_api_key'))
      expect(reply.headers['x-farebox-request-id']).toBeDefined()
    }
  })

  it.each([null, '', 'short-token'])('is off while the token is %j', async (token) => {
    const app = Fastify()
    await app.register(adminPlugin, { surface: makeAdminSurface(world), token, log: world.log })
    const headers = { authorization: `Bearer ${token ?? ''}` }
    const reply = await app.inject({ url: '/accounts', headers })
    expect(reply.statusCode).toBe(401)
    expect(reply.body).toContain('FAREBOX_ADMIN_TOKEN')
    await app.close()
  })

  it('refuses the one character that Postgres cannot store, wherever it stands', async () => {
    const customer = await aCustomer(world)
    const own = `/accounts/${customer.accountId}`
    const nul = 'a\u0000b'
    for (const [method, path, body, param] of [
      ['GET', '/accounts/%00', undefined],
      ['GET', '/accounts?cursor=%00', undefined, 'cursor'],
      ['POST', '/accounts', { name: nul }],
      ['PATCH', own, { name: nul }],
      ['POST', `${own}/keys`, { name: 'k', models: [nul] }],
      [
        'POST',
        `${own}/grants`,
        { credits: '1', kind: 'paid', reason: nul, reference_id: 'with NUL' },
      ],
    ] as const) {
      const reply = await world.admin(method, path, body)
      expect([path, reply.status]).toEqual([path, 400])
      expect(reply.body).toEqual(error('invalid_request', param))
    }
  })

  it('refuses a cursor that none of its lists gave, and goes on behind one that is gone', async () => {
    const { accountId } = await aCustomer(world)
    const own = `/accounts/${accountId}`
    const gone = { key: `key_${'0'.repeat(32)}`, id: '019a0000-0000-7000-8000-000000000000' }
    for (const [path, cursor] of [
      ['/accounts', 'acct_0'],
      [`${own}/keys`, gone.key],
      ['/backend-keys', gone.key],
      [`${own}/ledger`, '999'],
      [`${own}/claims`, gone.id],
      ['/findings', gone.id],
      ['/notifications', gone.id],
      ['/meters/reports', '999'],
    ] as const) {
      for (const broken of ['no such cursor', '', '-1', 'eyJpZCI6MX0=']) {
        const reply = await world.admin('GET', `${path}?cursor=${encodeURIComponent(broken)}`)
        expect([path, broken, reply.status]).toEqual([path, broken, 400])
        expect(reply.body).toEqual(error('invalid_request', 'cursor'))
      }
      const rest = await world.admin('GET', `${path}?cursor=${cursor}`)
      expect([path, rest.status]).toEqual([path, 200])
    }
    const keys = await world.admin('GET', `${own}/keys?cursor=${gone.key}`)
    expect(keys.body.data).toHaveLength(1)
  })

  it('refuses what no route of its kind has in its query, and lets the caller be named there', async () => {
    const { accountId, secret } = await aCustomer(world)
    const own = `/accounts/${accountId}`
    const grant = { credits: '1', kind: 'paid', reason: 'r', reference_id: 'asked with a query' }
    for (const [method, path, body] of [
      ['GET', own, undefined],
      ['GET', '/meters', undefined],
      ['POST', `${own}/grants`, grant],
    ] as const) {
      const reply = await world.admin(method, `${path}?dry_run=true`, body)
      expect([path, reply.status]).toEqual([path, 400])
      expect(JSON.stringify(reply.body)).toContain('dry_run')
    }
    expect((await world.admin('GET', own)).body).toMatchObject({
      balance: { posted: { credits: '10' } },
    })
    const balance = (query: string) =>
      world.app.inject({ url: `/farebox/v1/balance?${query}`, headers: { 'x-api-key': secret } })
    expect((await balance(`key=${secret}`)).statusCode).toBe(200)
    expect((await balance('at=2026-01-01')).statusCode).toBe(400)
  })

  it('refuses a filter that a list does not have: it would answer everything', async () => {
    const { accountId } = await aCustomer(world)
    for (const path of [
      '/accounts?subject=user-1',
      `/accounts/${accountId}/keys?limt=1`,
      '/backend-keys?name=a',
      `/accounts/${accountId}/ledger?reference_id=a`,
      `/accounts/${accountId}/claims?state=open`,
      `/receipts/019a0000-0000-7000-8000-000000000000?account=a`,
      '/findings?kind=a',
      '/notifications?account_id=a',
      '/meters/reports?account=a',
      '/margins?from=2026-01-01',
      '/prices?upstream=openai&model=gpt-4o&at=now',
    ]) {
      const reply = await world.admin('GET', path)
      expect([path, reply.status, reply.body]).toEqual([path, 400, error('invalid_request')])
      expect(JSON.stringify(reply.body)).toContain('the query: Unrecognized key')
    }
  })

  it('refuses a time that Postgres cannot hold, and takes the first and the last that it can', async () => {
    const { accountId, keyId, secret } = await aCustomer(world)
    const own = `/accounts/${accountId}`
    const grant = { credits: '1', kind: 'paid', reason: 'r' }
    for (const time of ['0000-01-01', '0000-12-31T23:59:59Z', '9999-12-31T23:59:59-23:59']) {
      for (const [method, path, body, param] of [
        ['POST', `${own}/grants`, { ...grant, effective_at: time }, 'effective_at'],
        ['POST', `${own}/grants`, { ...grant, expires_at: time }, 'expires_at'],
        ['POST', `${own}/keys`, { name: 'k', expires_at: time }, 'expires_at'],
        ['PATCH', `/keys/${keyId}`, { expires_at: time }, 'expires_at'],
        ['GET', `/margins?since=${time}`, undefined, 'since'],
      ] as const) {
        const reply = await world.admin(method, path, body, { 'idempotency-key': path })
        expect([path, reply.status, reply.body]).toEqual([
          path,
          400,
          error('invalid_request', param),
        ])
      }
      const usage = await world.as(secret)('GET', `/usage?to=${time}`)
      expect(usage).toMatchObject({ status: 400, body: error('invalid_request', 'to') })
    }
    const whole = { ...grant, effective_at: '0001-01-01', expires_at: '9999-12-31T23:59:59Z' }
    const reply = await world.admin('POST', `${own}/grants`, { ...whole, reference_id: 'whole' })
    expect(reply).toMatchObject({ status: 201, body: { expires_at: '9999-12-31T23:59:59.000Z' } })
    for (const name of ['from', 'to']) {
      expect((await world.as(secret)('GET', `/usage?${name}=0001-01-01`)).status).toBe(200)
    }
  })

  it('refuses half a character wherever it stands, and takes whole ones', async () => {
    const customer = await aCustomer(world)
    const own = `/accounts/${customer.accountId}`
    const half = String.raw`"\uD83D"`
    for (const [path, body] of [
      ['/accounts', `{"name":${half}}`],
      [`${own}/keys`, `{"name":"k","models":[${half}]}`],
      [`${own}/grants`, `{"credits":"1","kind":"paid","reference_id":${half}}`],
      ['/accounts', `{"name":"a",${half}:1}`],
    ] as const) {
      const reply = await world.admin('POST', path, body)
      expect([path, reply.status, reply.body]).toEqual([path, 400, error('invalid_json')])
      expect(JSON.stringify(reply.body)).toContain('half of a character')
    }
    const whole = await world.admin('POST', '/accounts', String.raw`{"name":"\uD83D\uDE00"}`)
    expect(whole).toMatchObject({ status: 201, body: { name: '😀' } })
  })

  it('takes no body that is compressed', async () => {
    const encoding = { 'content-encoding': 'gzip' }
    const reply = await world.admin('POST', '/accounts', { name: 'a' }, encoding)
    expect(reply).toMatchObject({ status: 415, body: error('unsupported_encoding') })
  })

  it('tells broken bodies in one sentence with the place', async () => {
    const send = (body: object | string) => world.admin('POST', '/accounts', body)
    expect(await send('{"name":')).toMatchObject({ status: 400, body: error('invalid_json') })
    expect(await send({})).toMatchObject({ status: 400, body: error('invalid_request', 'name') })
    const typo = await send({ name: 'x', credit_limt: '5' })
    expect(typo).toMatchObject({ status: 400, body: error('invalid_request') })
    expect(JSON.stringify(typo.body)).toContain('credit_limt')
    expect(await send('x'.repeat(300_000))).toMatchObject({
      status: 413,
      body: error('request_too_large'),
    })
  })
})

describe('accounts', () => {
  it('are created once per id or subject, with a balance', async () => {
    const body = { id: 'acct_1', subject_ref: 'user 1', name: 'Ada', credit_limit: '2.5' }
    const first = await world.admin('POST', '/accounts', body)
    expect(first.status).toBe(201)
    expect(first.body).toMatchObject({
      id: 'acct_1',
      status: 'active',
      credit_limit: { micros: 2_500_000, credits: '2.5' },
      balance: { posted: { micros: 0, credits: '0' }, available: { micros: 0 }, lots: [] },
    })
    expect((await world.admin('POST', '/accounts', body)).status).toBe(200)
    const same = await world.admin('POST', '/accounts', { subject_ref: 'user 1', name: 'Ada' })
    expect(same).toMatchObject({ status: 200, body: { id: 'acct_1' } })
    const other = { id: 'acct_2', subject_ref: 'user 1', name: 'Eve' }
    expect(await world.admin('POST', '/accounts', other)).toMatchObject({
      status: 409,
      body: error('conflict'),
    })
    const found = await world.admin('GET', '/accounts?subject_ref=user%201')
    expect(found.body).toMatchObject({ data: [{ id: 'acct_1' }], next_cursor: null })
  })

  it('without any name are one account per Idempotency-Key', async () => {
    const send = () => world.admin('POST', '/accounts', { name: 'A' }, { 'idempotency-key': 'k1' })
    const [first, second] = [await send(), await send()]
    expect([first.status, second.status]).toEqual([201, 200])
    expect(textAt(second, 'id')).toBe(textAt(first, 'id'))
  })

  it('are paged by cursor', async () => {
    for (const n of [1, 2, 3]) await world.admin('POST', '/accounts', { id: `zz_${n}`, name: 'Z' })
    const page = await world.admin('GET', '/accounts?cursor=zz_0&limit=2')
    expect(page.body).toMatchObject({ data: [{ id: 'zz_1' }, { id: 'zz_2' }], next_cursor: 'zz_2' })
    const rest = await world.admin('GET', '/accounts?cursor=zz_2&limit=2')
    expect(rest.body).toMatchObject({ data: [{ id: 'zz_3' }], next_cursor: null })
  })

  it('that are frozen are so in the credit engine before the answer', async () => {
    const { accountId } = await aCustomer(world)
    const body = { status: 'frozen', reason: 'chargeback', credit_limit: 3 }
    const reply = await world.admin('PATCH', `/accounts/${accountId}`, body)
    expect(reply.body).toMatchObject({ status: 'frozen', reason: 'chargeback' })
    expect(await world.engine.viewAccount(accountId)).toMatchObject({
      status: 'frozen',
      creditLimitMicros: 3_000_000,
    })
    const thawed = await world.admin('PATCH', `/accounts/${accountId}`, { status: 'active' })
    expect(thawed.body).toMatchObject({ status: 'active', reason: null })
  })

  it('that do not exist are 404, and a change of nothing is refused', async () => {
    const missing = await world.admin('PATCH', '/accounts/nobody', { name: 'x' })
    expect(missing).toMatchObject({ status: 404, body: error('not_found') })
    expect((await world.admin('PATCH', '/accounts/acct_1', {})).status).toBe(400)
    for (const list of ['', '/keys', '/ledger', '/claims', '/entitlements']) {
      const reply = await world.admin('GET', `/accounts/nobody${list}`)
      expect([list, reply.status, reply.body]).toEqual([list, 404, error('not_found')])
    }
  })
})

describe('grants and adjustments', () => {
  const grant = { credits: '10.5', kind: 'paid', reason: 'pack', reference_id: 'pi_1' }

  it('grant once per reference, and are spendable before the answer', async () => {
    const { accountId } = await aCustomer(world, '0')
    const path = `/accounts/${accountId}/grants`
    const first = await world.admin('POST', path, grant)
    expect(first).toMatchObject({ status: 201, body: { granted: { micros: 10_500_000 } } })
    expect((await world.engine.viewAccount(accountId))?.availableMicros).toBe(10_500_000)
    const second = await world.admin('POST', path, grant)
    expect(second).toMatchObject({ status: 200, body: { id: textAt(first, 'id') } })
    const other = await world.admin('POST', path, { ...grant, credits: '11' })
    expect(other).toMatchObject({ status: 409, body: error('conflict', 'reference_id') })
    const { body } = await world.admin('GET', `/accounts/${accountId}`)
    expect(body).toMatchObject({ balance: { posted: { micros: 10_500_000 } } })
  })

  it.each([
    [{ credits: 10.5 }, 'a fraction that is not quoted'],
    [{ credits: '1.0000001' }, 'more than six decimals'],
    [{ credits: '1', micros: 2 }, 'two amounts'],
    [{}, 'no amount'],
    [{ credits: '0' }, 'nothing'],
    [{ micros: 1.5 }, 'half a micro'],
    [{ credits: '-1' }, 'less than nothing'],
    [{ credits: '1e3' }, 'a float in text'],
  ])('refuse %j: %s', async (amount, why) => {
    const body = { ...grant, credits: undefined, ...amount }
    const reply = await world.admin('POST', '/accounts/acct_1/grants', body)
    expect(reply, why).toMatchObject({ status: 400 })
  })

  it('take whole credits, micros, or both where they agree', async () => {
    for (const [at, amount] of [
      { credits: 3 },
      { micros: 3_000_000 },
      { credits: '3', micros: 3_000_000 },
    ].entries()) {
      const body = { ...amount, kind: 'promo', reason: 'r', reference_id: `same_${at}` }
      const reply = await world.admin('POST', '/accounts/acct_1/grants', body)
      expect(reply).toMatchObject({ status: 201, body: { granted: { micros: 3_000_000 } } })
    }
  })

  it('refuse an expiry in the past and a grant without a name', async () => {
    const past = { ...grant, expires_at: '2020-01-01T00:00:00Z' }
    const path = '/accounts/acct_1/grants'
    expect(await world.admin('POST', path, past)).toMatchObject({
      status: 400,
      body: error('invalid_request', 'expires_at'),
    })
    const { reference_id, ...nameless } = grant
    expect(await world.admin('POST', path, nameless)).toMatchObject({
      status: 400,
      body: error('invalid_request', 'reference_id'),
    })
    const named = await world.admin('POST', path, nameless, { 'idempotency-key': reference_id })
    expect(named).toMatchObject({ status: 201, body: { reference_id: 'pi_1' } })
  })

  it('adjust up and down once per reference and show in the ledger', async () => {
    const { accountId } = await aCustomer(world)
    const path = `/accounts/${accountId}/adjustments`
    const down = { credits: '-4', reason: 'mistake', reference_id: 'adj_1' }
    expect(await world.admin('POST', path, down)).toMatchObject({
      status: 201,
      body: { micros: -4_000_000, credits: '-4', created: true },
    })
    expect(await world.admin('POST', path, down)).toMatchObject({ status: 200 })
    expect(await world.admin('POST', path, { ...down, credits: '-5' })).toMatchObject({
      status: 409,
    })
    expect((await world.engine.viewAccount(accountId))?.availableMicros).toBe(6_000_000)
    const page = await world.admin('GET', `/accounts/${accountId}/ledger?limit=1`)
    expect(page.body).toMatchObject({
      data: [{ movement_type: 'adjustment', amount: { credits: '-4' }, reason: 'mistake' }],
      next_cursor: '2',
    })
    const rest = await world.admin('GET', `/accounts/${accountId}/ledger?limit=1&cursor=2`)
    expect(rest.body).toMatchObject({ data: [{ movement_type: 'grant' }], next_cursor: null })
  })

  it('that could not be counted any more are refused, and nothing moves', async () => {
    const { accountId } = await aCustomer(world)
    const path = `/accounts/${accountId}`
    const most = { micros: Number.MAX_SAFE_INTEGER, reason: 'x', reference_id: 'most' }
    const refused = { status: 400, body: error('invalid_request', 'credits') }
    for (const [kind, body] of [
      ['grants', { ...most, kind: 'paid' }],
      ['grants', { ...most, kind: 'paid', effective_at: '2100-01-01' }],
      ['adjustments', most],
    ] as const) {
      const reply = await world.admin('POST', `${path}/${kind}`, body)
      expect(reply).toMatchObject(refused)
      expect(JSON.stringify(reply.body)).toContain('9007199244.740991 would fit')
    }
    const page = await world.admin('GET', `${path}/ledger`)
    expect(page.body).toMatchObject({ data: [{ amount: { credits: '10' } }] })
    expect(page.body.data).toHaveLength(1)
  })

  it('are kept in the audit log with who and what', async () => {
    const rows = await world.db.query(
      `SELECT action, detail->>'referenceId' AS reference FROM audit_log
        WHERE actor = 'admin' AND action IN ('grant', 'adjust') ORDER BY at`,
    )
    expect(rows).toContainEqual({ action: 'grant', reference: 'pi_1' })
    expect(rows).toContainEqual({ action: 'adjust', reference: 'adj_1' })
  })
})
