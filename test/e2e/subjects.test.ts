import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { until } from '../support/until.ts'
import { chatAnswer, messagesAnswer } from './support/answers.ts'
import { answerJson } from './support/upstream.ts'
import {
  ask,
  bodyFor,
  FAMILIES,
  newModel,
  requestIdOf,
  startWorld,
  type FamilyName,
  type World,
} from './support/world.ts'

let world: World
let other: World['gateway']
let backend: { id: string; key: string }

const created = z.object({ id: z.string(), key: z.string() })
const account = z.object({ id: z.string() })

const admin = async (method: string, path: string, body?: unknown): Promise<unknown> => {
  const answer = await world.gateway.admin.call(method, path, body)
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
  return answer.json()
}

beforeAll(async () => {
  world = await startWorld({ processes: 2 })
  other = world.gateways[1] ?? world.gateway
  backend = created.parse(await admin('POST', '/admin/v1/backend-keys', { name: 'server' }))
})
afterAll(() => world.end())

let users = 0
async function newUser(credits: string | null): Promise<{ ref: string; accountId: string }> {
  const ref = `user-${(users += 1)}@example.com`
  const { id } = account.parse(
    await admin('POST', '/admin/v1/accounts', { name: ref, subject_ref: ref }),
  )
  if (credits !== null) await world.gateway.admin.grant(id, credits)
  return { ref, accountId: id }
}

const answering = (prefix?: string): string => {
  const model = newModel(prefix)
  world.upstream.on(model, (call) => {
    const make = call.path.endsWith('/messages') ? messagesAnswer : chatAnswer
    answerJson(call, make(model, 'Yes.', { input: 12, output: 8 }))
  })
  return model
}

const as = (ref: string) => ({ headers: { 'x-farebox-subject': ref } })
const chat = (
  ref: string | null,
  model: string,
  gateway = world.gateway,
  family: FamilyName = 'openai',
) => ask(gateway, family, backend.key, bodyFor(family, model), ref === null ? {} : as(ref))

const get = (path: string, key: string, headers: Record<string, string> = {}) =>
  fetch(`${world.gateway.url}${path}`, { headers: { authorization: `Bearer ${key}`, ...headers } })

/** Status and code of a refusal, which must be in the envelope of what was called. */
async function refusalOf(response: Response): Promise<string> {
  const body = z
    .object({ error: z.object({ code: z.string().optional(), type: z.string() }) })
    .parse(await response.json())
  return `${response.status} ${body.error.code ?? body.error.type}`
}

describe('a backend key', () => {
  it('spends the credits of the subject that it names, through an unmodified client', async () => {
    const [one, two] = [await newUser('10'), await newUser('10')]
    const model = answering()
    const client = new OpenAI({
      apiKey: backend.key,
      baseURL: `${other.url}/v1`,
      defaultHeaders: { 'x-farebox-subject': one.ref },
      maxRetries: 0,
    })
    const { response } = await client.chat.completions
      .create({ model, messages: [{ role: 'user', content: 'Hello' }] })
      .withResponse()
    const receipt = z
      .object({
        account_id: z.string(),
        key_id: z.string(),
        cost: z.object({ micros: z.number() }),
      })
      .parse(await world.gateway.admin.receipt(requestIdOf(response)))
    expect(receipt).toMatchObject({ account_id: one.accountId, key_id: backend.id })
    const balance = await get('/farebox/v1/balance', backend.key, as(one.ref).headers)
    expect(await balance.json()).toMatchObject({
      account_id: one.accountId,
      available: { micros: 10_000_000 - receipt.cost.micros },
    })
    const untouched = await get(`/farebox/v1/balance?subject_ref=${two.ref}`, backend.key)
    expect(await untouched.json()).toMatchObject({ available: { micros: 10_000_000 } })
    const path = `/farebox/v1/receipts/${requestIdOf(response)}`
    expect((await get(path, backend.key, as(one.ref).headers)).status).toBe(200)
    expect((await get(path, backend.key, as(two.ref).headers)).status).toBe(404)
    const [call] = world.upstream.calls(model)
    expect(JSON.stringify(call?.rawHeaders)).not.toContain('subject')
    expect(JSON.stringify(call?.rawHeaders)).not.toContain(backend.key)
  })

  it.each(FAMILIES)('is told in the envelope of %s what is missing', async (family) => {
    const model = answering()
    const broke = await newUser(null)
    const openai = family === 'openai'
    expect(await refusalOf(await chat(null, model, other, family))).toBe(
      openai ? '400 invalid_request' : '400 invalid_request_error',
    )
    expect(await refusalOf(await chat('nobody', model, other, family))).toBe(
      openai ? '404 subject_not_found' : '404 not_found_error',
    )
    expect(await refusalOf(await chat('x'.repeat(256), model, other, family))).toBe(
      openai ? '400 invalid_request' : '400 invalid_request_error',
    )
    expect(await refusalOf(await chat(broke.ref, model, other, family))).toBe(
      openai ? '402 insufficient_quota' : '402 billing_error',
    )
    expect(world.upstream.calls(model)).toEqual([])
  })

  it('sees a new, frozen or renamed subject soon after, in every process', async () => {
    const model = answering()
    expect((await chat('late@example.com', model, other)).status).toBe(404)
    const { id } = account.parse(
      await admin('POST', '/admin/v1/accounts', { name: 'late', subject_ref: 'late@example.com' }),
    )
    await world.gateway.admin.grant(id, '10')
    const status = async (ref: string) => (await chat(ref, model, other)).status
    await until(async () => (await status('late@example.com')) === 200)
    await admin('PATCH', `/admin/v1/accounts/${id}`, { status: 'frozen' })
    expect(await status('late@example.com')).toBe(403)
    await admin('PATCH', `/admin/v1/accounts/${id}`, { status: 'active' })
    await admin('PATCH', `/admin/v1/accounts/${id}`, { subject_ref: 'later@example.com' })
    await until(async () => (await status('late@example.com')) === 404)
    await until(async () => (await status('later@example.com')) === 200)
  })

  it('has its limits apart for each subject, and they change for all at once', async () => {
    const limited = created.parse(
      await admin('POST', '/admin/v1/backend-keys', {
        name: 'limited',
        rate: { requests_per_minute: 2 },
        models: ['allowed-*'],
      }),
    )
    const [one, two] = [await newUser('10'), await newUser('10')]
    const model = answering('allowed')
    const send = (ref: string, named = model, gateway = world.gateway) =>
      ask(gateway, 'openai', limited.key, bodyFor('openai', named), as(ref))
    expect((await send(one.ref, answering())).status).toBe(403)
    const statuses: number[] = []
    for (const ref of [one.ref, one.ref, one.ref, two.ref]) {
      statuses.push((await send(ref)).status)
    }
    expect(statuses).toEqual([200, 200, 429, 200])
    await admin('PATCH', `/admin/v1/keys/${limited.id}`, { rate: null })
    await until(async () => (await send(one.ref, model, other)).status === 200)
    expect((await send(one.ref, model, other)).status).toBe(200)
    await admin('DELETE', `/admin/v1/keys/${limited.id}`)
    await until(async () => (await send(two.ref, model, other)).status === 401)
  })

  it('has no budget, and says why', async () => {
    const body = { name: 'x', budget: { credits: '5', period: 'day' } }
    const refused = await world.gateway.admin.call('POST', '/admin/v1/backend-keys', body)
    expect(await refusalOf(refused)).toBe('400 invalid_request')
    const path = `/admin/v1/keys/${backend.id}`
    const changed = await world.gateway.admin.call('PATCH', path, { budget: body.budget })
    expect(await refusalOf(changed)).toBe('400 invalid_request')
  })
})

it('a client key cannot act for a subject, not even its own', async () => {
  const model = answering()
  const user = await newUser('10')
  const { key } = await world.gateway.admin.createKey(user.accountId)
  const body = bodyFor('openai', model)
  const refused = await ask(world.gateway, 'openai', key, body, as(user.ref))
  expect(await refusalOf(refused)).toBe('400 invalid_request')
  const balance = await get(`/farebox/v1/balance?subject_ref=${user.ref}`, key)
  expect(await refusalOf(balance)).toBe('400 invalid_request')
  expect(world.upstream.calls(model)).toEqual([])
})

it('a subject that comes for the first time gets one account and its starter credits once', async () => {
  const config = { subjects: { create: true, starter_credits: '5', starter_expires_days: 30 } }
  const creating = await Promise.all([world.join(config), world.join(config)])
  const model = answering()
  const ref = 'first@example.com'
  const sent = Array.from({ length: 100 }, async (_, n) => {
    const gateway = creating[n % 2] ?? world.gateway
    return (await chat(ref, model, gateway)).status
  })
  const statuses = new Set(await Promise.all(sent))
  expect([...statuses].filter((status) => status !== 200 && status !== 429)).toEqual([])
  const balance = await get('/farebox/v1/balance', backend.key, as(ref).headers)
  const { lots, account_id: id } = z
    .object({ account_id: z.string(), lots: z.array(z.looseObject({ kind: z.string() })) })
    .parse(await balance.json())
  expect(lots).toMatchObject([{ kind: 'promo' }])
  const ledger = z
    .object({ data: z.array(z.looseObject({ movement_type: z.string() })) })
    .parse(await admin('GET', `/admin/v1/accounts/${id}/ledger?limit=200`))
  const grants = ledger.data.filter((entry) => entry.movement_type === 'grant')
  expect(grants).toMatchObject([{ amount: { micros: 5_000_000 } }])
})
