import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Customer } from '../support/admin.ts'
import { until } from '../support/until.ts'
import {
  chatAnswer,
  chatDelta,
  chatStream,
  messagesAnswer,
  messagesStream,
  messageStart,
  named,
  textDelta,
  textStart,
  type Tokens,
} from './support/answers.ts'
import { answerJson, openStream } from './support/upstream.ts'
import {
  bodyFor,
  expectChargedSoon,
  expectSpent,
  FAMILIES,
  newModel,
  onlyRequestOf,
  PATHS,
  startWorld,
  type FamilyName,
  type World,
} from './support/world.ts'

const TOKENS: Tokens = { input: 31, output: 123 }
const USAGE = { input_tokens: 31, output_tokens: 123 }
const TEXT = 'Clouds gather over the mountains, and by the evening it will rain.'
const GRANT = 10

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.end())

/** A client that can leave at any byte: its whole answer is what came over the socket. */
interface RawClient {
  readonly socket: Socket
  received(): string
}

function send(customer: Customer, family: FamilyName, body: unknown): RawClient {
  const { hostname, port } = new URL(world.gateway.url)
  const socket = connect({ host: hostname, port: Number(port) })
  const raw = JSON.stringify(body)
  let text = ''
  socket.on('data', (part: Buffer) => (text += part.toString()))
  socket.on('error', () => undefined)
  socket.write(
    `POST ${PATHS[family]} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n` +
      `authorization: Bearer ${customer.apiKey}\r\n` +
      `content-length: ${Buffer.byteLength(raw)}\r\n\r\n${raw}`,
  )
  return { socket, received: () => text }
}

const opening = (family: FamilyName, model: string): string[] =>
  family === 'openai'
    ? [chatDelta(model, { role: 'assistant', content: TEXT })]
    : [messageStart(model, TOKENS), textStart, textDelta(TEXT)]

const rest = (family: FamilyName, model: string): string[] =>
  (family === 'openai' ? chatStream : messagesStream)(model, [' More.'], TOKENS).slice(
    family === 'openai' ? 1 : 3,
  )

describe.each(FAMILIES)('a stream of %s', (family) => {
  it.each(['model', 'drain'])('%s: left after its first text', async (prefix) => {
    const model = newModel(prefix)
    const customer = await world.customer(String(GRANT))
    const client = send(customer, family, bodyFor(family, model, { stream: true }))
    const call = await world.upstream.call(model)
    openStream(call, opening(family, model))
    await until(() => client.received().includes(TEXT))
    client.socket.destroy()
    if (prefix === 'drain') {
      for (const event of rest(family, model)) call.out.write(event)
      call.out.end()
    } else {
      await until(() => call.cut)
    }
    const expected = prefix === 'drain' ? { usage: USAGE } : { estimated: true }
    const receipt = await expectChargedSoon(world, await onlyRequestOf(world, customer), expected)
    if (prefix === 'model') {
      // The text is 14 or 15 tokens; the placeholder would be 1, the whole answer 123.
      expect(receipt.usage.output_tokens).toBeGreaterThan(10)
      expect(receipt.usage.output_tokens).toBeLessThan(25)
      if (family === 'anthropic') expect(receipt.usage.input_tokens).toBe(31)
    }
    expect(call.cut).toBe(prefix === 'model')
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })

  it.each(['model', 'drain'])('%s: left after the headers, before any text', async (prefix) => {
    const model = newModel(prefix)
    const customer = await world.customer(String(GRANT))
    const client = send(customer, family, bodyFor(family, model, { stream: true }))
    const call = await world.upstream.call(model)
    openStream(call)
    await until(() => client.received().includes('200 OK'))
    client.socket.destroy()
    if (prefix === 'drain') {
      for (const event of [...opening(family, model), ...rest(family, model)]) {
        call.out.write(event)
      }
      call.out.end()
    }
    const expected = prefix === 'drain' ? { usage: USAGE } : { estimated: true }
    const receipt = await expectChargedSoon(world, await onlyRequestOf(world, customer), expected)
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })

  it.each(['model', 'drain'])('%s: left before the upstream answered', async (prefix) => {
    const model = newModel(prefix)
    const customer = await world.customer(String(GRANT))
    const client = send(customer, family, bodyFor(family, model, { stream: true }))
    const call = await world.upstream.call(model)
    client.socket.destroy()
    await until(() => client.socket.destroyed)
    openStream(call, opening(family, model))
    if (prefix === 'drain') {
      for (const event of rest(family, model)) call.out.write(event)
      call.out.end()
    } else {
      await until(() => call.cut)
    }
    const expected = prefix === 'drain' ? { usage: USAGE } : { estimated: true }
    const receipt = await expectChargedSoon(world, await onlyRequestOf(world, customer), expected)
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })

  it.each(['model', 'drain'])('%s: left at its terminal event is a success', async (prefix) => {
    const model = newModel(prefix)
    const customer = await world.customer(String(GRANT))
    const client = send(customer, family, bodyFor(family, model, { stream: true }))
    const call = await world.upstream.call(model)
    openStream(call, [...opening(family, model), ...rest(family, model)])
    const last = family === 'openai' ? '[DONE]' : 'message_stop'
    await until(() => client.received().includes(last))
    client.socket.destroy()
    call.out.end()
    const request = await onlyRequestOf(world, customer)
    const receipt = await expectChargedSoon(world, request, { usage: USAGE })
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })

  it('whole answers complete and are charged, whoever left', async () => {
    const model = newModel()
    const customer = await world.customer(String(GRANT))
    const client = send(customer, family, bodyFor(family, model))
    const call = await world.upstream.call(model)
    client.socket.destroy()
    await until(() => client.socket.closed)
    answerJson(call, (family === 'openai' ? chatAnswer : messagesAnswer)(model, TEXT, TOKENS))
    const request = await onlyRequestOf(world, customer)
    const receipt = await expectChargedSoon(world, request, { usage: USAGE })
    expect(call.cut).toBe(false)
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })
})

it('a client that stays gets every byte of a stream that pauses', async () => {
  const model = newModel()
  const customer = await world.customer(String(GRANT))
  const client = send(customer, 'openai', bodyFor('openai', model, { stream: true }))
  const call = await world.upstream.call(model)
  openStream(call)
  for (const word of ['one', 'two', 'three']) {
    call.out.write(chatDelta(model, { content: word }))
    await until(() => client.received().includes(word)) // passes at once, not at the end
  }
  for (const event of rest('openai', model)) call.out.write(event)
  call.out.end()
  await until(() => client.received().includes('[DONE]'))
  client.socket.destroy()
})

it('a client that leaves pays for reasoning that it could not read, by its length', async () => {
  const model = newModel()
  const customer = await world.customer(String(GRANT))
  const client = send(customer, 'anthropic', bodyFor('anthropic', model, { stream: true }))
  const call = await world.upstream.call(model)
  const signature = 'x'.repeat(2_400)
  openStream(call, [
    messageStart(model, TOKENS),
    named({
      type: 'content_block_start',
      index: 0,
      content_block: { type: 'thinking', thinking: '', signature: '' },
    }),
    named({
      type: 'content_block_delta',
      index: 0,
      delta: { type: 'signature_delta', signature },
    }),
  ])
  await until(() => client.received().includes(signature))
  client.socket.destroy()
  await until(() => call.cut)
  const request = await onlyRequestOf(world, customer)
  const usage = { input_tokens: 31, output_tokens: 300 }
  const receipt = await expectChargedSoon(world, request, { usage, estimated: true })
  await expectSpent(world, customer, GRANT, receipt.cost.micros)
})
