import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { until } from '../support/until.ts'
import { chatAnswer } from './support/answers.ts'
import { answerJson } from './support/upstream.ts'
import { ask, bodyFor, newModel, startWorld, type World } from './support/world.ts'

let world: World
let other: World['gateway']
let backend: string

const created = z.object({ id: z.string(), key: z.string() })
const withId = z.looseObject({ id: z.string() })
const balance = z.object({ available: z.object({ credits: z.string() }) })
const checked = z.looseObject({
  subject_ref: z.string(),
  allowed: z.boolean(),
  reason: z.string(),
  plan: z.string().nullable(),
  balance: balance.nullable(),
  as_of: z.iso.datetime(),
})

const plans = [
  { id: 'free', features: { seats: 1 }, models: ['m-*'] },
  { id: 'pro', features: { exports: true, seats: 5 }, rates: { requests_per_minute: 100 } },
]

beforeAll(async () => {
  world = await startWorld({ processes: 2, config: { plans } })
  other = world.gateways[1] ?? world.gateway
  backend = created.parse(await admin('POST', '/admin/v1/backend-keys', { name: 'server' })).key
})
afterAll(() => world.end())

async function admin(method: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await world.gateway.admin.call(method, path, body)
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
  return answer.json()
}

interface User {
  readonly ref: string
  readonly accountId: string
  readonly key: string
}

let users = 0
async function newUser(credits: string | null): Promise<User> {
  const ref = `user ${(users += 1)}`
  const { id: accountId } = withId.parse(
    await admin('POST', '/admin/v1/accounts', { name: ref, subject_ref: ref }),
  )
  if (credits !== null) await world.gateway.admin.grant(accountId, credits)
  return { ref, accountId, key: (await world.gateway.admin.createKey(accountId)).key }
}

const override = (user: User, patch: object, expiresMs = 3_600_000) =>
  admin('POST', `/admin/v1/accounts/${user.accountId}/overrides`, {
    reason: 'test',
    expires_at: new Date(Date.now() + expiresMs).toISOString(),
    ...patch,
  })

/** Asks the other process than the one that was told. */
const post = (body: unknown, key = backend) =>
  fetch(`${other.url}/v1/access/check`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
const check = async (ref: string, more: object = {}) => {
  const answer = await post({ subject_ref: ref, ...more })
  expect(answer.status).toBe(200)
  return checked.parse(await answer.json())
}

describe('a check of access', () => {
  it('answers by credits where there are no plans in play', async () => {
    const [rich, poor] = [await newUser('10'), await newUser(null)]
    expect(await check(rich.ref)).toMatchObject({
      ...{ subject_ref: rich.ref, allowed: true, reason: 'ok', plan: null },
      balance: { available: { credits: '10' } },
    })
    expect(await check(rich.ref, { credits: '10.5' })).toMatchObject({
      ...{ allowed: false, reason: 'insufficient_credits' },
    })
    expect(await check(rich.ref, { credits: '10' })).toMatchObject({ allowed: true })
    expect(await check(poor.ref, { credits: '0.1' })).toMatchObject({ allowed: false })
  })

  it('does not take an unknown subject for an error', async () => {
    expect(await check('nobody')).toMatchObject({
      ...{ allowed: false, reason: 'unknown_subject', plan: null, balance: null },
    })
  })

  it('answers by the plan that an account was given', async () => {
    const user = await newUser('10')
    await override(user, { plan: 'free' })
    expect(await check(user.ref, { feature: 'seats' })).toMatchObject({
      ...{ allowed: true, plan: 'free' },
    })
    expect(await check(user.ref, { feature: 'exports' })).toMatchObject({
      ...{ allowed: false, reason: 'feature_not_in_plan' },
    })
    expect(await check(user.ref, { model: 'gpt-5' })).toMatchObject({
      ...{ allowed: false, reason: 'model_not_allowed' },
    })
    expect(await check(user.ref, { model: 'm-1' })).toMatchObject({ allowed: true })
    await override(user, { access: 'suspend' })
    expect(await check(user.ref)).toMatchObject({ allowed: false, reason: 'suspended' })
    await admin('PATCH', `/admin/v1/accounts/${user.accountId}`, { status: 'frozen' })
    expect(await check(user.ref)).toMatchObject({ allowed: false, reason: 'frozen' })
  })

  it('is for servers, and tells what is wrong with a question', async () => {
    const user = await newUser('1')
    expect((await post({ subject_ref: user.ref }, user.key)).status).toBe(403)
    expect((await post({ subject_ref: user.ref }, 'fbk_test_wrong')).status).toBe(401)
    for (const wrong of [{}, { subject_ref: '' }, { subject_ref: user.ref, credits: '-1' }, []]) {
      expect((await post(wrong)).status).toBe(400)
    }
  })

  it('shows support what an answer follows from', async () => {
    const user = await newUser('3')
    await override(user, { plan: 'pro' })
    const path = `/v1/access/subjects/${encodeURIComponent(user.ref)}`
    const read = (key: string) =>
      fetch(`${other.url}${path}`, { headers: { authorization: `Bearer ${key}` } })
    const text = await (await read(backend)).text()
    const view = z
      .looseObject({
        account_id: z.string(),
        overrides: z.array(z.looseObject({ reason: z.string() })),
        keys: z.array(z.looseObject({ status: z.string() })),
      })
      .parse(JSON.parse(text))
    expect(view).toMatchObject({ account_id: user.accountId, plan: 'pro', allowed: true })
    expect(view.overrides).toMatchObject([{ reason: 'test' }])
    expect(view.keys).toHaveLength(1)
    expect(text).not.toContain(user.key)
    expect((await read(user.key)).status).toBe(403)
    const nobody = await fetch(`${other.url}/v1/access/subjects/nobody`, {
      headers: { authorization: `Bearer ${backend}` },
    })
    expect(nobody.status).toBe(404)
  })
})

describe('what a plan allows rules requests', () => {
  const model = () => {
    const name = newModel()
    world.upstream.on(name, (call) => {
      answerJson(call, chatAnswer(name, 'Yes.', { input: 12, output: 8 }))
    })
    return name
  }
  const chat = async (user: User, name: string) =>
    (await ask(other, 'openai', user.key, bodyFor('openai', name))).status

  it('at the next request of another process, until an exception ends by itself', async () => {
    const user = await newUser('10')
    const name = model()
    expect(await chat(user, name)).toBe(200)
    // On a slow machine it may end before it was seen; the next one then is given longer.
    let lastsMs = 1_500
    await until(async () => {
      const endsMs = Date.now() + (lastsMs *= 2)
      await override(user, { models: ['none-*'] }, lastsMs)
      let status = await chat(user, name)
      while (status !== 403 && Date.now() < endsMs) status = await chat(user, name)
      return status === 403
    })
    await until(async () => (await chat(user, name)) === 200)
  })

  it('for all keys of an account together', async () => {
    const user = await newUser('10')
    const second = { ...user, key: (await world.gateway.admin.createKey(user.accountId)).key }
    const name = model()
    await override(user, { rates: { requests_per_minute: 2 } })
    expect(await chat(user, name)).toBe(200)
    expect(await chat(second, name)).toBe(200)
    expect(await chat(user, name)).toBe(429)
    expect(await chat(second, name)).toBe(429)
    await override(user, { access: 'suspend' })
    await until(async () => (await chat(second, name)) === 403)
  })
})
