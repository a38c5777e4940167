import Fastify from 'fastify'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { makeClaims, type Claims, type ClaimsDeps } from '../../src/access/claims/claims.ts'
import { issueClaim } from '../../src/access/claims/issue.ts'
import { makeKeys } from '../../src/access/keys.ts'
import { hashSecret } from '../../src/access/secrets.ts'
import { CLAIM_AGAIN_MS, CLAIM_MISSES_PER_S_MAX } from '../../src/kernel/limits/access.ts'
import type { Log } from '../../src/kernel/log.ts'
import { claimPlugin } from '../../src/portal/claims.ts'
import { noLimits } from '../access/support.ts'
import { ids, T0 } from '../ledger/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'

const LINK_MS = 7 * 86_400_000
const SECRET = /fb_test_[\w-]{43}/

let own: TestDb
beforeAll(async () => {
  own = await testDb('postgres', 12)
})
afterAll(() => own[Symbol.asyncDispose]())

const time = { nowMs: T0, monotonicMs: 0 }
beforeEach(() => {
  time.monotonicMs += 1_000
})
const clock = {
  now: () => time.nowMs,
  monotonicMs: () => time.monotonicMs,
  after: () => () => undefined,
}

async function makeWorld(over: Partial<Claims> = {}) {
  const { db } = own
  const publicUrl = 'https://ai.example/farebox/'
  const settings: ClaimsDeps['settings'] = () => ({ publicUrl, linkMs: LINK_MS })
  const claims: Claims = { ...makeClaims({ db, clock, ids, mode: 'test', settings }), ...over }
  const keys = makeKeys({ db, clock, ids, mode: 'test' })
  const reloaded: string[] = []
  const logged: string[] = []
  const note = (fields: object, message: string) => logged.push(JSON.stringify(fields) + message)
  const log: Log = { debug: note, info: note, warn: note, error: note }
  const app = Fastify({ genReqId: () => ids.uuid() })
  await app.register(
    async (instance) => {
      claimPlugin(instance, {
        ...{ claims, clock, ids, log, baseUrl: () => publicUrl },
        reload: (_account, key) => {
          reloaded.push(key ?? '')
          return Promise.resolve()
        },
      })
      await Promise.resolve()
    },
    { prefix: '' },
  )
  const account = `acct_${ids.uuid()}`
  await db.query(
    'INSERT INTO accounts (id, name, changed_at, created_at) VALUES ($1, $1, $2, $2)',
    [account, new Date(T0)],
  )
  const purchase = `checkout:cs_${ids.uuid()}`
  const limits = { ...noLimits('Starter'), models: ['gpt-*'], requestsPerMinute: 7 }
  const item = { purchase, accountId: account, itemKind: 'pack', itemId: 'starter' } as const
  const issue = (name = 'Starter') =>
    issueClaim(db, ids, { ...item, limits: { ...limits, name } }, time.nowMs)
  const get = (path: string, method: 'GET' | 'HEAD' = 'GET') => app.inject({ method, url: path })
  const press = (path: string, page?: string, headers: Record<string, string> = {}) =>
    app.inject({
      method: 'POST',
      url: path,
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      payload: page === undefined ? '' : new URLSearchParams({ page }).toString(),
    })
  /** Opens the page and answers its name, as a browser's form sends it. */
  const open = async (path: string) =>
    /name="page" value="([\w-]{43})"/.exec((await get(path)).body)?.[1] ?? 'none'
  const ownKeys = () => keys.list(account, null, 10)
  const link = async (claimId: string | null, round = 1) => {
    const made = await claims.link(claimId ?? '', round)
    if (made === null) throw new Error('no link')
    expect(made.url).toMatch(/^https:\/\/ai\.example\/farebox\/claim\/[\w-]{43}$/)
    return new URL(made.url).pathname.replace('/farebox', '')
  }
  return {
    ...{ db, claims, keys, account, limits, issue, link, get, press, open, ownKeys },
    ...{ app, reloaded, logged },
  }
}

const secretIn = (body: string): string => {
  const found = SECRET.exec(body)?.[0]
  if (found === undefined) throw new Error(`no key in ${body}`)
  return found
}

/** Everything the database holds about keys and their claims, as text. */
async function everything(): Promise<string> {
  const tables = ['key_claims', 'claim_links', 'api_keys', 'audit_log', 'notifications']
  const rows = await Promise.all(
    tables.map((name) => own.db.query(`SELECT row_to_json(t)::text AS row FROM ${name} t`)),
  )
  return rows
    .flat()
    .map(({ row }) => String(row))
    .join('\n')
}

describe('a claim link', () => {
  test('shows a button to whoever opens it, and makes no key', async () => {
    const world = await makeWorld()
    const path = await world.link(await world.issue())
    for (const method of ['GET', 'HEAD', 'GET'] as const) {
      const answer = await world.get(path, method)
      expect(answer.statusCode).toBe(200)
      expect(answer.body).not.toMatch(/fb_test/)
      expect(answer.headers).toMatchObject({
        'cache-control': 'no-store',
        'referrer-policy': 'no-referrer',
        'x-robots-tag': 'noindex, nofollow',
        'x-frame-options': 'DENY',
      })
      expect(answer.headers['content-security-policy']).toMatch(/^default-src 'none'; style-src 's/)
      if (method === 'HEAD') expect(answer.body).toBe('')
      else expect(answer.body).toContain('<form method="post">')
    }
    expect((await world.get(path)).body).not.toMatch(/<script|https?:\/\//)
    expect(await world.ownKeys()).toEqual([])
    expect((await world.press(path)).body).toMatch(SECRET)
  })

  test('gives its key once: with the limits of the purchase, and a hash in the database', async () => {
    const world = await makeWorld()
    const path = await world.link(await world.issue())
    const shown = await world.press(path, await world.open(path))
    expect(shown.statusCode).toBe(200)
    expect(shown.headers['cache-control']).toBe('no-store')
    const secret = secretIn(shown.body)
    const [key, ...more] = await world.ownKeys()
    expect(more).toEqual([])
    expect(key).toMatchObject({ limits: world.limits, prefix: secret.slice(0, 12) })
    const found = await world.db.query('SELECT id FROM api_keys WHERE hash = $1', [
      hashSecret(secret),
    ])
    expect(found).toEqual([{ id: key?.id }])
    for (const again of [await world.get(path), await world.press(path, await world.open(path))]) {
      expect(again.statusCode).toBe(410)
      expect(again.body).toContain('already shown')
      expect(again.body).not.toMatch(SECRET)
    }
    const kept = await everything()
    const token = path.replace('/claim/', '')
    for (const clear of [token, secret, secret.slice(8)]) {
      expect(kept).not.toContain(clear)
      expect(kept).not.toContain(Buffer.from(clear).toString('hex'))
    }
    expect(kept).toContain(String(key?.id))
  })

  test('pressed by many at once shows the key to one of them', async () => {
    const world = await makeWorld()
    const id = await world.issue()
    const paths = await Promise.all([world.link(id), world.link(id)]) // two mails, one claim
    const answers = await Promise.all(
      Array.from({ length: 24 }, async (_, at) => {
        const path = paths[at % 2] ?? ''
        return world.press(path, at % 3 === 0 ? undefined : await world.open(path))
      }),
    )
    const shown = answers.filter(({ body }) => SECRET.test(body))
    expect(shown).toHaveLength(1)
    expect(answers.filter(({ statusCode }) => statusCode === 410)).toHaveLength(23)
    expect(await world.ownKeys()).toHaveLength(1)
  })

  test('pressed twice on one page shows the same key, for some minutes', async () => {
    const world = await makeWorld()
    const path = await world.link(await world.issue())
    const page = await world.open(path)
    const answers = await Promise.all(Array.from({ length: 8 }, () => world.press(path, page)))
    const secrets = new Set(answers.map(({ body }) => secretIn(body)))
    expect([secrets.size, await world.ownKeys()]).toMatchObject([1, { length: 1 }])
    time.nowMs += CLAIM_AGAIN_MS
    expect(secrets).toContain(secretIn((await world.press(path, page)).body))
    time.nowMs += 1
    expect((await world.press(path, page)).statusCode).toBe(410)
  })

  test('whose key was rotated since does not show it again', async () => {
    const world = await makeWorld()
    const path = await world.link(await world.issue())
    const page = await world.open(path)
    await world.press(path, page)
    const [key] = await world.ownKeys()
    await world.keys.rotate(key?.id ?? '', 'test')
    expect((await world.press(path, page)).statusCode).toBe(410)
  })

  test('whose answer is lost is not used up: the same page gets the key', async () => {
    const sound = (await makeWorld()).claims
    let losing = true
    const world = await makeWorld({
      press: async (token, page) => {
        const pressed = await sound.press(token, page)
        if (losing) throw new Error(`lost after the commit`)
        return pressed
      },
    })
    const path = await world.link(await world.issue())
    const page = await world.open(path)
    const lost = await world.press(path, page)
    expect([lost.statusCode, lost.body.includes(page)]).toEqual([503, true])
    expect(lost.body).not.toMatch(SECRET)
    expect(await world.ownKeys()).toHaveLength(1)
    losing = false
    expect((await world.press(path, page)).body).toMatch(SECRET)
    expect(await world.ownKeys()).toHaveLength(1)
    expect(world.logged).toHaveLength(1)
    expect(world.logged.join()).not.toContain(path.replace('/claim/', ''))
  })

  test('ends with its time', async () => {
    const world = await makeWorld()
    const path = await world.link(await world.issue())
    const page = await world.open(path)
    time.nowMs += LINK_MS
    for (const answer of [await world.get(path), await world.press(path, page)]) {
      expect([answer.statusCode, answer.body.includes('This link has ended')]).toEqual([410, true])
    }
    expect(await world.ownKeys()).toEqual([])
  })

  test.each([
    ['never made', `/claim/${'A'.repeat(43)}`, 404],
    ['too short', '/claim/abc', 404],
    ['not base64url', `/claim/${'%2B'.repeat(43)}`, 404],
    ['SQL', "/claim/'%20OR%201=1--", 404],
    ['NUL', '/claim/%00', 404],
    ['too long', `/claim/${'A'.repeat(90)}`, 404],
  ])('that was %s opens nothing', async (_name, path, status) => {
    const world = await makeWorld()
    for (const answer of [await world.get(path), await world.press(path)]) {
      expect(answer.statusCode).toBe(status)
    }
  })

  test('is guessed a bounded number of times a second, which keeps out no good one', async () => {
    const world = await makeWorld()
    const path = await world.link(await world.issue())
    const guess = () => world.press(`/claim/${ids.secret(32)}`)
    for (let at = 0; at < CLAIM_MISSES_PER_S_MAX; at++) expect((await guess()).statusCode).toBe(404)
    expect((await guess()).statusCode).toBe(429)
    expect((await world.get(`/claim/${ids.secret(32)}`)).statusCode).toBe(429)
    expect((await world.get(path)).statusCode).toBe(200)
    expect((await world.press(path)).body).toMatch(SECRET)
    time.monotonicMs += 1_000
    expect((await guess()).statusCode).toBe(404)
  })

  test('shows names as text, and nothing of who asks', async () => {
    const world = await makeWorld()
    const name = `<script>alert("1")</script>&'`
    const path = await world.link(await world.issue(name))
    const host = { host: 'evil.example', 'x-forwarded-host': 'evil.example' }
    const opened = await world.app.inject({ url: path, headers: host })
    const pressed = await world.press(path, undefined, host)
    for (const { body } of [opened, pressed]) {
      expect(body).not.toContain('<script')
      expect(body).toContain('&#60;script&#62;alert(&#34;1&#34;)&#60;/script&#62;&#38;&#39;')
      expect(body).not.toContain('evil.example')
    }
  })

  test.each([
    ['JSON', 'application/json', '{"page":1}', 200],
    ['broken', 'application/x-www-form-urlencoded', '%E0%A4%A&page=%00', 200],
    ['too large', 'application/x-www-form-urlencoded', 'page='.padEnd(5_000, 'a'), 413],
  ])('with a form that is %s', async (_name, type, payload, status) => {
    const world = await makeWorld()
    const url = await world.link(await world.issue())
    const headers = { 'content-type': type }
    const answer = await world.app.inject({ method: 'POST', url, headers, payload })
    expect([answer.statusCode, SECRET.test(answer.body)]).toEqual([status, status === 200])
  })
})

describe('a new link', () => {
  const RENEW = { claimId: null, rotate: false }

  test('ends the older ones, and is for the one claim that is open', async () => {
    const world = await makeWorld()
    const id = await world.issue()
    const before = await world.link(id)
    time.nowMs += LINK_MS
    const made = await world.claims.renew(world.account, RENEW, 'test')
    if ('ok' in made) throw new Error(made.message)
    expect((await world.get(before)).body).toContain('This link has ended')
    expect(await world.claims.link(id ?? '', 1)).toBeNull() // a mail of the first round
    const path = new URL(made.url).pathname.replace('/farebox', '')
    expect((await world.press(path)).body).toMatch(SECRET)
    const again = await world.claims.renew(world.account, RENEW, 'test')
    expect(again).toMatchObject({ ok: false, code: 'not_found' })
    const other = { claimId: id, rotate: false }
    expect(await world.claims.renew(`${world.account}x`, other, 'test')).toMatchObject({
      ok: false,
    })
  })

  test('of a key that was claimed gives it a new secret when it is pressed', async () => {
    const world = await makeWorld()
    const id = await world.issue()
    const first = secretIn((await world.press(await world.link(id))).body)
    const asked = { claimId: id, rotate: false }
    expect(await world.claims.renew(world.account, asked, 'test')).toMatchObject({
      code: 'conflict',
    })
    const made = await world.claims.renew(world.account, { ...asked, rotate: true }, 'test')
    if ('ok' in made) throw new Error(made.message)
    const works = async (secret: string) =>
      (await world.db.query('SELECT 1 FROM api_keys WHERE hash = $1', [hashSecret(secret)])).length
    expect(await works(first)).toBe(1)
    const path = new URL(made.url).pathname.replace('/farebox', '')
    const shown = await world.press(path)
    const second = secretIn(shown.body)
    expect(shown.body).toContain('takes the place of the key you had')
    expect([await works(first), await works(second)]).toEqual([0, 1])
    const [key, ...more] = await world.ownKeys()
    expect([key?.limits, more, world.reloaded]).toEqual([world.limits, [], [key?.id]])
  })

  test('of a key that was revoked shows nothing', async () => {
    const world = await makeWorld()
    const id = await world.issue()
    await world.press(await world.link(id))
    const [key] = await world.ownKeys()
    const made = await world.claims.renew(world.account, { claimId: id, rotate: true }, 'test')
    if ('ok' in made) throw new Error(made.message)
    await world.keys.revoke(key?.id ?? '', 'test')
    const answer = await world.press(new URL(made.url).pathname.replace('/farebox', ''))
    expect([answer.statusCode, answer.body.includes('taken back')]).toEqual([410, true])
  })
})

test('a purchase has one key, whoever notes it and how often', async () => {
  const world = await makeWorld()
  const noted = await Promise.all(Array.from({ length: 20 }, () => world.issue()))
  expect(noted.filter((id) => id !== null)).toHaveLength(1)
  expect(await world.claims.list(world.account, null, 10)).toMatchObject([
    { state: 'open', itemId: 'starter', keyId: null, linkExpiresAtMs: null },
  ])
})
