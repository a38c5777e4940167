import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { issueClaim } from '../../src/access/claims/issue.ts'
import { noLimits } from '../access/support.ts'
import { makeWorld, textAt, type Reply, type World } from '../admin/world.ts'

const SECRET = /fb_test_[\w-]{43}/
const NOBODY = '0199aaaa-0000-7000-8000-000000000000'

let world: World
let backend = ''
beforeAll(async () => {
  world = await makeWorld({ smtp_url: 'smtp://mail.example', from: 'shop@example.com' })
  backend = textAt(await world.admin('POST', '/backend-keys', { name: 'shop' }), 'key')
})
afterAll(async () => {
  await world.close()
})

let count = 0
/** Somebody who bought a key so many times. */
async function buyer(purchases = 1) {
  count += 1
  const subject = `user-${count}`
  const email = `${subject}@example.com`
  const body = { name: subject, subject_ref: subject, email }
  const accountId = textAt(await world.admin('POST', '/accounts', body), 'id')
  const claims: string[] = []
  for (let at = 0; at < purchases; at += 1) {
    const bought = { purchase: `checkout:${subject}:${at}`, itemKind: 'pack', itemId: 'p' } as const
    const limits = noLimits(`Key ${at}`)
    const issued = { ...bought, accountId, limits }
    claims.push((await issueClaim(world.db, world.ids, issued, world.clock.now())) ?? '')
  }
  return { subject, accountId, claims, path: `/accounts/${accountId}/claims` }
}

const pathOf = (made: Reply): string => {
  const url = textAt(made, 'url')
  expect(url).toMatch(/^https:\/\/ai\.example\/claim\/[\w-]{43}$/)
  return new URL(url).pathname
}
const open = (path: string) => world.app.inject({ url: path })
/** Presses the button; answers the key, or the title of what came instead. */
async function press(path: string): Promise<string> {
  const { body } = await world.app.inject({ method: 'POST', url: path, payload: '' })
  return SECRET.exec(body)?.[0] ?? /<h1>(.*)<\/h1>/.exec(body)?.[1] ?? body
}
const accepts = async (secret: string): Promise<boolean> =>
  (await world.as(secret)('GET', '/balance')).status === 200
const actors = async (claim: string) =>
  world.db.query("SELECT actor FROM audit_log WHERE action = 'claim.renew' AND subject = $1", [
    claim,
  ])

/** Both routes ask for the same; who asks, and how the buyer is named, differs. */
type Buyer = Awaited<ReturnType<typeof buyer>>
const named = (key?: string) => (key === undefined ? {} : { 'idempotency-key': key })
const ROUTES = [
  [
    'the operator',
    (who: Buyer, body: object, key?: string) => world.admin('POST', who.path, body, named(key)),
  ],
  [
    'a server with a backend key',
    (who: Buyer, body: object, key?: string) =>
      world.as(backend)('POST', '/claims', { subject_ref: who.subject, ...body }, named(key)),
  ],
] as const

describe.each(ROUTES)('%s asks for a link', (_who, ask) => {
  it('which opens the key that waits, and ends the link before it', async () => {
    const who = await buyer()
    const first = await ask(who, {})
    expect(first).toMatchObject({
      status: 201,
      body: { id: who.claims[0], account_id: who.accountId, state: 'open', key_id: null },
    })
    const second = await ask(who, {})
    expect(pathOf(second)).not.toBe(pathOf(first))
    expect((await open(pathOf(first))).statusCode).toBe(410)
    expect(await press(pathOf(first))).toBe('This link has ended')
    expect((await open(pathOf(second))).statusCode).toBe(200)
    expect(await accepts(await press(pathOf(second)))).toBe(true)
    expect(await actors(who.claims[0] ?? '')).toHaveLength(2)
    // What was shown is told to nobody again.
    const listed = await world.admin('GET', who.path)
    expect(listed.body).toMatchObject({ data: [{ state: 'claimed' }] })
    const told = JSON.stringify([listed, await world.db.query('SELECT * FROM audit_log')])
    for (const path of [first, second].map(pathOf)) expect(told).not.toContain(path.slice(7))
  })

  it('of several keys by its claim, and is told where it named none', async () => {
    const who = await buyer(2)
    const [, wanted] = who.claims
    expect(await ask(who, {})).toMatchObject({ status: 409, body: { error: {} } })
    const made = await ask(who, { claim_id: wanted })
    expect(made).toMatchObject({ status: 201, body: { id: wanted, name: 'Key 1' } })
    expect(await press(pathOf(made))).toMatch(SECRET)
    expect(await ask(who, {})).toMatchObject({ status: 201, body: { name: 'Key 0' } })
  })

  it('that replaces a claimed key only if it says so, and only once it is pressed', async () => {
    const who = await buyer()
    const old = await press(pathOf(await ask(who, {})))
    const claim_id = who.claims[0]
    expect((await ask(who, {})).status).toBe(404)
    expect((await ask(who, { claim_id })).status).toBe(409)
    const made = await ask(who, { claim_id, rotate: true })
    expect(made.status).toBe(201)
    expect(await accepts(old)).toBe(true)
    const fresh = await press(pathOf(made))
    expect([await accepts(fresh), fresh === old]).toEqual([true, false])
    expect(await press(pathOf(made))).toBe('This key was already shown')
  })

  it('of somebody else, of nothing, or with a body that is wrong: none is made', async () => {
    const [who, other] = [await buyer(), await buyer()]
    expect((await ask(who, { claim_id: other.claims[0] })).status).toBe(404)
    expect((await ask(who, { claim_id: other.claims[0], rotate: true })).status).toBe(404)
    expect((await ask(who, { claim_id: NOBODY })).status).toBe(404)
    expect((await ask(await buyer(0), {})).status).toBe(404)
    for (const body of [{ claim_id: '1' }, { rotate: 'yes' }, { surprise: true }]) {
      expect((await ask(who, body)).status).toBe(400)
    }
    expect(
      await world.db.query(
        'SELECT 1 FROM claim_links l JOIN key_claims c ON c.id = l.claim_id WHERE c.account_id = ANY($1)',
        [[who.accountId, other.accountId]],
      ),
    ).toEqual([])
  })

  it('many times at once: one link opens, whichever it is', async () => {
    const who = await buyer()
    const made = await Promise.all(Array.from({ length: 8 }, () => ask(who, {})))
    expect(new Set(made.map(({ status }) => status))).toEqual(new Set([201]))
    const pressed = await Promise.all(made.map((one) => press(pathOf(one))))
    expect(pressed.filter((text) => SECRET.test(text))).toHaveLength(1)
  })
})

describe.each(ROUTES)('%s asks for a link with an Idempotency-Key', (_who, ask) => {
  it('and again: the link that was made before opens, and so does another one', async () => {
    const who = await buyer()
    const first = await ask(who, {}, 'link')
    const again = await Promise.all(Array.from({ length: 8 }, () => ask(who, {}, 'link')))
    expect(again.map(({ status }) => status)).toEqual(again.map(() => 200))
    for (const made of [first, ...again]) expect((await open(pathOf(made))).statusCode).toBe(200)
    expect(await actors(who.claims[0] ?? '')).toHaveLength(9)
    const pressed = await Promise.all([first, ...again].map((one) => press(pathOf(one))))
    expect(pressed.filter((text) => SECRET.test(text))).toHaveLength(1)
  })

  it('many times at once: it is one request, whose links all open', async () => {
    const who = await buyer()
    const made = await Promise.all(Array.from({ length: 8 }, () => ask(who, {}, 'at once')))
    expect(made.filter(({ status }) => status === 201)).toHaveLength(1)
    for (const one of made) expect((await open(pathOf(one))).statusCode).toBe(200)
  })

  it('and again when it is over: no later link ends, no key that was shown is replaced', async () => {
    const who = await buyer()
    const [claim_id] = who.claims
    await ask(who, {}, 'one')
    const later = await ask(who, {}, 'two')
    await world.db.query('DELETE FROM idempotent_requests')
    expect(await ask(who, {}, 'one')).toMatchObject({ status: 409, body: { error: {} } })
    const secret = await press(pathOf(later))
    expect((await ask(who, {}, 'two')).status).toBe(404)
    const rotate = { claim_id, rotate: true }
    const fresh = await press(pathOf(await ask(who, rotate, 'new')))
    expect((await ask(who, rotate, 'new')).status).toBe(409)
    expect([await accepts(fresh), await accepts(secret)]).toEqual([true, false])
    expect(await actors(claim_id ?? '')).toHaveLength(3)
  })
})

describe('links', () => {
  it('are not made for client keys, unknown subjects and strangers', async () => {
    const who = await buyer()
    const client = textAt(
      await world.admin('POST', `/accounts/${who.accountId}/keys`, { name: 'k' }),
      'key',
    )
    const body = { subject_ref: who.subject }
    expect((await world.as(client)('POST', '/claims', body)).status).toBe(400)
    expect((await world.as('fbk_test_nonsense')('POST', '/claims', body)).status).toBe(401)
    expect((await world.as(backend)('POST', '/claims', {})).status).toBe(400)
    const nobody = { subject_ref: 'nobody' }
    expect((await world.as(backend)('POST', '/claims', nobody)).status).toBe(404)
    expect((await world.admin('POST', '/accounts/acct_nobody/claims', {})).status).toBe(404)
    const url = `/admin/v1${who.path}`
    for (const headers of [{}, { authorization: `Bearer ${backend}` }]) {
      expect((await world.app.inject({ method: 'POST', url, headers })).statusCode).toBe(401)
    }
    const { body: kept } = await world.admin('GET', who.path)
    expect(kept).toMatchObject({ data: [{ state: 'open', link_expires_at: null }] })
  })

  it('are mailed where the operator says so, and carry no token in the outbox', async () => {
    const who = await buyer()
    expect((await world.admin('POST', who.path, {})).status).toBe(201)
    const waiting = () =>
      world.db.query('SELECT kind, data FROM notifications WHERE account_id = $1', [who.accountId])
    expect(await waiting()).toEqual([])
    const made = await world.admin('POST', who.path, { send: true })
    const [claim_id] = who.claims
    expect(await waiting()).toEqual([
      { kind: 'claim_link', data: { claim_id, round: expect.any(Number) as number } },
    ])
    // The link that was shown and the one that will be mailed are of one round: both open.
    expect((await open(pathOf(made))).statusCode).toBe(200)
    const asked = ['mail', 'mail'].map((key) =>
      world.admin('POST', who.path, { send: true }, named(key)),
    )
    await Promise.all(asked)
    expect(await waiting()).toHaveLength(2)
  })
})
