import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Gateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import {
  chatAnswer,
  chatDelta,
  chatStream,
  messageEnd,
  messageStart,
  textDelta,
  textStart,
  type Tokens,
} from './support/answers.ts'
import { openRaw, rawRequest } from './support/raw.ts'
import { answerJson, openStream } from './support/upstream.ts'
import {
  ask,
  bodyFor,
  expectCharged,
  expectChargedSoon,
  expectSpent,
  newModel,
  onlyRequestOf,
  requestIdOf,
  startWorld,
  type World,
} from './support/world.ts'

const TOKENS: Tokens = { input: 21, output: 34 }
const USAGE = { input_tokens: 21, output_tokens: 34 }
const TEXT = 'A sentence that was on its way when the process was told to stop.'
const GRANT = 10

let world: World
beforeAll(async () => {
  world = await startWorld({ config: { holds: { lease_ms: 3_000 }, post_wait_ms: 100 } })
})
afterAll(() => world.end())

const isRefused = (gateway: Gateway): Promise<boolean> =>
  fetch(`${gateway.url}/healthz`).then(
    () => false,
    () => true,
  )

it('lets what is under way end, charged and posted, and takes nothing new', async () => {
  const gateway = await world.join({ shutdown_ms: 600_000 })
  const [chat, messages, whole] = [newModel(), newModel(), newModel()]
  const [one, two, three] = await Promise.all([
    world.customer(String(GRANT)),
    world.customer(String(GRANT)),
    world.customer(String(GRANT)),
  ])
  const asked = [
    ask(gateway, 'openai', one.apiKey, bodyFor('openai', chat, { stream: true })),
    ask(gateway, 'anthropic', two.apiKey, bodyFor('anthropic', messages, { stream: true })),
    ask(gateway, 'openai', three.apiKey, bodyFor('openai', whole)),
  ] as const
  const calls = await Promise.all(
    [chat, messages, whole].map((model) => world.upstream.call(model)),
  )
  const [chatCall, messagesCall, wholeCall] = calls
  if (!chatCall || !messagesCall || !wholeCall) throw new Error('three calls')
  openStream(chatCall, [chatDelta(chat, { content: TEXT })])
  openStream(messagesCall, [messageStart(messages, TOKENS), textStart, textDelta(TEXT)])
  const streams = await Promise.all([asked[0], asked[1]])

  const ending = gateway.end('SIGTERM')
  await until(() => isRefused(gateway))
  for (const event of chatStream(chat, [' More.'], TOKENS).slice(1)) chatCall.out.write(event)
  chatCall.out.end()
  for (const event of messageEnd(TOKENS)) messagesCall.out.write(event)
  messagesCall.out.end()
  answerJson(wholeCall, chatAnswer(whole, TEXT, TOKENS))

  const responses = [...streams, await asked[2]]
  const texts = await Promise.all(responses.map((response) => response.text()))
  expect(texts[0]).toMatch(/ More\..*data: \[DONE\]\n\n$/s)
  expect(texts[1]).toMatch(/"message_stop"\}\n\n$/)
  expect(texts[2]).toContain(TEXT)
  expect(await ending).toBe(0)
  for (const [n, customer] of [one, two, three].entries()) {
    const response = responses[n]
    if (response === undefined) throw new Error('three answers')
    const receipt = await expectCharged(world, requestIdOf(response), { usage: USAGE })
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  }
})

it('waits for requests whose client has left', async () => {
  const gateway = await world.join({ shutdown_ms: 600_000 })
  const model = newModel()
  const customer = await world.customer(String(GRANT))
  const client = openRaw(gateway)
  const headers = [`authorization: Bearer ${customer.apiKey}`, 'content-type: application/json']
  const body = JSON.stringify(bodyFor('openai', model))
  client.write(rawRequest('POST /v1/chat/completions', headers, body))
  const call = await world.upstream.call(model)
  client.socket.destroy()
  const ending = gateway.end('SIGTERM')
  await until(() => isRefused(gateway))
  answerJson(call, chatAnswer(model, TEXT, TOKENS))
  expect(await ending).toBe(0)
  const receipt = await expectCharged(world, await onlyRequestOf(world, customer), { usage: USAGE })
  await expectSpent(world, customer, GRANT, receipt.cost.micros)
})

it('cuts at the deadline what does not end, and charges what was said', async () => {
  const gateway = await world.join({ shutdown_ms: 300 })
  const [cut, silent] = [newModel(), newModel()]
  const [one, two] = [await world.customer(String(GRANT)), await world.customer(String(GRANT))]
  const streaming = ask(
    gateway,
    'anthropic',
    one.apiKey,
    bodyFor('anthropic', cut, { stream: true }),
  )
  const unanswered = ask(gateway, 'openai', two.apiKey, bodyFor('openai', silent)).catch(() => null)
  openStream(await world.upstream.call(cut), [
    messageStart(cut, TOKENS),
    textStart,
    textDelta(TEXT),
  ])
  const silentCall = await world.upstream.call(silent)
  const response = await streaming
  const reading = response.text().catch(() => 'broken')
  expect(await gateway.end()).toBe(0) // no upstream ends its answer
  await reading
  expect(await unanswered).toBeNull()
  await until(() => silentCall.cut)
  const receipt = await expectCharged(world, requestIdOf(response), { estimated: true })
  expect(receipt.usage.input_tokens).toBe(TOKENS.input)
  expect(receipt.usage.output_tokens).toBeGreaterThan(5)
  await expectSpent(world, one, GRANT, receipt.cost.micros)
  await expectSpent(world, two, GRANT, 0)
})

it('leaves at once at a second signal, and what was settled is posted by another process', async () => {
  const gateway = await world.join({ shutdown_ms: 600_000 })
  const [settled, open] = [newModel(), newModel()]
  const [one, two] = [await world.customer(String(GRANT)), await world.customer(String(GRANT))]
  const postgres = new pg.Client({ connectionString: world.databaseUrl ?? '' })
  await postgres.connect()
  // Nobody can post to this account while its row is locked.
  await postgres.query('BEGIN')
  await postgres.query('SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE', [one.accountId])
  world.upstream.on(settled, (call) => {
    answerJson(call, chatAnswer(settled, TEXT, TOKENS))
  })
  const response = await ask(gateway, 'openai', one.apiKey, bodyFor('openai', settled))
  expect(response.status).toBe(200) // post_wait_ms passed: answered as settled
  const streaming = ask(gateway, 'openai', two.apiKey, bodyFor('openai', open, { stream: true }))
  openStream(await world.upstream.call(open), [chatDelta(open, { content: TEXT })])
  const reading = (await streaming).text().catch(() => 'broken')

  gateway.signal('SIGTERM')
  await until(() => isRefused(gateway))
  expect(await gateway.end('SIGTERM')).toBe(1)
  await reading
  await postgres.query('ROLLBACK')
  await postgres.end()
  const receipt = await expectChargedSoon(world, requestIdOf(response), { usage: USAGE })
  await expectSpent(world, one, GRANT, receipt.cost.micros)
  await until(async () => (await world.gateway.admin.balance(two.apiKey)).held.micros === 0)
})
