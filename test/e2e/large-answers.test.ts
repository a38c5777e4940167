import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { responseAnswer } from './support/answers.ts'
import {
  expectCharged,
  expectSpent,
  newModel,
  post,
  requestIdOf,
  startWorld,
  type World,
} from './support/world.ts'

const PRELOAD = pathToFileURL(join(import.meta.dirname, '../support/no-large-memory.ts')).href
const GRANT = 10
const TOKENS = { input: 31, output: 123 }
const USAGE = { input_tokens: 31, output_tokens: 123 }

let world: World
beforeAll(async () => {
  world = await startWorld({ env: { NODE_OPTIONS: `--import ${PRELOAD}` } })
})
afterAll(() => world.end())

const asked = (): number => world.gateway.output().split('no memory for a large answer').length - 1

it.each([
  ['one that is sent whole', 300_000],
  ['one that is passed on', 3_000_000],
])(
  'without memory for %s it is asked for once, and charged by what it ends with',
  async (_, chars) => {
    const model = newModel()
    const customer = await world.customer(String(GRANT))
    const text = JSON.stringify(responseAnswer(model, 'x'.repeat(chars), TOKENS))
    const before = asked()
    const body = { model, input: 'What is the weather in Bern?' }
    const answering = post(world.gateway, '/v1/responses', customer.apiKey, body)
    const call = await world.upstream.call(model)
    call.out.writeHead(200, { 'content-type': 'application/json' })
    const step = 50_000
    for (let at = 0; at < text.length; at += step) {
      await new Promise((resolve) => call.out.write(text.slice(at, at + step), resolve))
    }
    call.out.end()
    const response = await answering
    expect(await response.text()).toBe(text)
    const { cost } = await expectCharged(world, requestIdOf(response), { usage: USAGE })
    await expectSpent(world, customer, GRANT, cost.micros)
    expect(asked()).toBe(before + 1)
  },
)
