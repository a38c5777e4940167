import { afterAll, beforeAll, expect, it } from 'vitest'
import { ADMIN_TOKEN, startGateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { chatAnswer } from './support/answers.ts'
import { expectRefusal, TABLE } from './support/envelopes.ts'
import { answerJson } from './support/upstream.ts'
import { ask, bodyFor, newModel, requestIdOf, startWorld, type World } from './support/world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ processes: 2 })
})
afterAll(() => world.end())

const answering = (): string => {
  const model = newModel()
  world.upstream.on(model, (call) => {
    answerJson(call, chatAnswer(model, 'Yes.', { input: 12, output: 8 }))
  })
  return model
}

it("an account's key opens neither the operator's side nor another account", async () => {
  const [one, two] = [await world.customer('10'), await world.customer('10')]
  const model = answering()
  const theirs = requestIdOf(
    await ask(world.gateway, 'openai', two.apiKey, bodyFor('openai', model)),
  )
  const get = (path: string, key: string): Promise<Response> =>
    fetch(`${world.gateway.url}${path}`, { headers: { authorization: `Bearer ${key}` } })
  for (const path of ['/admin/v1/accounts', `/admin/v1/receipts/${theirs}`]) {
    await expectRefusal(await get(path, one.apiKey), 'openai', TABLE.invalidKey, 'own')
  }
  await expectRefusal(
    await get(`/farebox/v1/receipts/${theirs}`, one.apiKey),
    'openai',
    TABLE.notFound,
    'own',
  )
  expect((await get(`/farebox/v1/receipts/${theirs}`, two.apiKey)).status).toBe(200)
  await expectRefusal(
    await get('/farebox/v1/balance', ADMIN_TOKEN),
    'openai',
    TABLE.invalidKey,
    'own',
  )
})

it('a revoked key is refused by the other process soon after', async () => {
  const model = answering()
  const customer = await world.customer('10')
  const [first, second] = world.gateways
  if (first === undefined || second === undefined) throw new Error('two processes')
  const body = bodyFor('openai', model)
  expect((await ask(second, 'openai', customer.apiKey, body)).status).toBe(200)
  const revoked = await first.admin.call('DELETE', `/admin/v1/keys/${customer.keyId}`)
  expect(revoked.status).toBe(200)
  await until(async () => (await ask(second, 'openai', customer.apiKey, body)).status === 401)
  expect((await ask(first, 'openai', customer.apiKey, body)).status).toBe(401)
})

it('the admin API is shut without a token, and with one too short to be one', async () => {
  for (const token of ['', 'short']) {
    const gateway = await startGateway({
      databaseUrl: world.databaseUrl ?? '',
      config: {},
      env: { FAREBOX_ADMIN_TOKEN: token },
    })
    try {
      for (const sent of ['', token, 'undefined', 'null', ADMIN_TOKEN]) {
        const response = await fetch(`${gateway.url}/admin/v1/accounts`, {
          headers: { authorization: `Bearer ${sent}` },
        })
        await expectRefusal(response, 'openai', TABLE.invalidKey, 'own')
      }
    } finally {
      expect(await gateway.end()).toBe(0)
    }
  }
  for (const sent of ['', `${ADMIN_TOKEN}x`, ADMIN_TOKEN.slice(1), ADMIN_TOKEN.toUpperCase()]) {
    const headers = { authorization: `Bearer ${sent}` }
    const response = await fetch(`${world.gateway.url}/admin/v1/accounts`, { headers })
    await expectRefusal(response, 'openai', TABLE.invalidKey, 'own')
  }
})
