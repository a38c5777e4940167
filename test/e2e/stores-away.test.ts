import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  startPostgres,
  startRedis,
  type PostgresServer,
  type RedisServer,
} from '../support/servers.ts'
import { until } from '../support/until.ts'
import { chatAnswer, messagesAnswer } from './support/answers.ts'
import { expectRefusal, TABLE } from './support/envelopes.ts'
import { answerJson } from './support/upstream.ts'
import {
  ask,
  bodyFor,
  expectCharged,
  expectSpent,
  FAMILIES,
  newModel,
  requestIdOf,
  startWorld,
  type FamilyName,
  type World,
} from './support/world.ts'

const TOKENS = { input: 10, output: 20 }
const USAGE = { input_tokens: 10, output_tokens: 20 }

let redis: RedisServer
let postgres: PostgresServer
let world: World
beforeAll(async () => {
  ;[redis, postgres] = await Promise.all([startRedis(), startPostgres()])
  const stores = { redisUrl: redis.url, databaseUrl: postgres.url }
  world = await startWorld({ stores, config: { post_wait_ms: 300 } })
})
afterAll(async () => {
  await world.end()
  await redis.stop()
  await postgres.stop()
})

const answering = (family: FamilyName): string => {
  const model = newModel()
  const make = family === 'openai' ? chatAnswer : messagesAnswer
  world.upstream.on(model, (call) => {
    answerJson(call, make(model, 'Yes.', TOKENS))
  })
  return model
}

it('503 while Redis is away, and service as soon as it is back, emptied', async () => {
  const customer = await world.customer('10')
  let spent = 0
  for (const family of FAMILIES) {
    const body = bodyFor(family, answering(family))
    const before = await ask(world.gateway, family, customer.apiKey, body)
    spent += (await expectCharged(world, requestIdOf(before), { usage: USAGE })).cost.micros
  }
  await redis.kill()
  for (const family of FAMILIES) {
    const model = answering(family)
    const refused = await ask(world.gateway, family, customer.apiKey, bodyFor(family, model))
    await expectRefusal(refused, family, TABLE.unavailable)
    expect(world.upstream.calls(model)).toEqual([])
  }
  await redis.restart()
  const body = bodyFor('openai', answering('openai'))
  const after = await until(async () => {
    const response = await ask(world.gateway, 'openai', customer.apiKey, body)
    return response.ok && response
  })
  spent += (await expectCharged(world, requestIdOf(after), { usage: USAGE })).cost.micros
  await expectSpent(world, customer, 10, spent)
})

it('goes on while Postgres is away for those it knows, and posts when it is back', async () => {
  const customer = await world.customer('10')
  const stranger = await world.customer('10')
  const body = bodyFor('openai', answering('openai'))
  const warm = await ask(world.gateway, 'openai', customer.apiKey, body)
  await postgres.down()
  const during = await ask(world.gateway, 'openai', customer.apiKey, body)
  expect(during.status).toBe(200)
  const headers = { 'idempotency-key': 'needs-postgres' }
  for (const family of FAMILIES) {
    const needs = bodyFor(family, answering(family))
    const keyed = await ask(world.gateway, family, customer.apiKey, needs, { headers })
    await expectRefusal(keyed, family, TABLE.unavailable)
    const unknown = await ask(world.gateway, family, stranger.apiKey, needs)
    await expectRefusal(unknown, family, TABLE.unavailable)
  }
  await postgres.restart()
  let spent = 0
  for (const response of [warm, during]) {
    const expected = { usage: USAGE }
    const receipt = await until(() => expectCharged(world, requestIdOf(response), expected))
    spent += receipt.cost.micros
  }
  await expectSpent(world, customer, 10, spent)
  const again = await ask(world.gateway, 'openai', stranger.apiKey, body, { headers })
  expect(again.status).toBe(200)
})
