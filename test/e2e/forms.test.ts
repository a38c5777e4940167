import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Customer } from '../support/admin.ts'
import { until } from '../support/until.ts'
import {
  form,
  FORM_END,
  formsKept,
  mp3,
  secondsOf,
  sendForm,
  TELLS_FILES,
  TRANSCRIPTIONS,
  type Part,
  type Sending,
} from './support/forms.ts'
import { PRICES } from './support/money.ts'
import { answerJson } from './support/upstream.ts'
import {
  chargedRequests,
  expectCharged,
  expectSpent,
  newModel,
  requestIdOf,
  startWorld,
  type World,
} from './support/world.ts'

const GRANT = 1_000
const MB = 1024 * 1024

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.end())

const SOUND = mp3(3 * MB)
const SECONDS = expect.closeTo(secondsOf(SOUND), 0) as unknown as number

interface Where {
  readonly gateway?: World['gateway']
  readonly path?: string
}

const send = (
  apiKey: string,
  bytes: number | null,
  { gateway = world.gateway, path = TRANSCRIPTIONS }: Where = {},
): Sending => sendForm(gateway, path, apiKey, bytes)

async function prepare(prefix = 'whisper', credits = GRANT) {
  const customer = await world.customer(String(credits))
  const baseURL = `${world.gateway.url}/v1`
  const client = new OpenAI({ baseURL, apiKey: customer.apiKey, maxRetries: 0 })
  return { customer, client, model: newModel(prefix) }
}

const answering = (model: string, body: unknown = { text: 'Otters.' }): void => {
  world.upstream.on(model, (call) => {
    answerJson(call, body)
  })
}

async function chargedBySound(customer: Customer, id: string, granted = GRANT): Promise<void> {
  const receipt = await world.gateway.admin.receipt(id)
  expect(receipt.usage).toEqual({ seconds: SECONDS })
  expect(receipt).toMatchObject({ status: 'posted', estimated: false })
  await expectSpent(world, customer, granted, receipt.cost.micros)
}

const idOf = (headers: IncomingMessage['headers']): string =>
  String(headers['x-farebox-request-id'])

describe('a large sound whose model comes before it', () => {
  it.each([
    ['declared', true],
    ['chunked', false],
  ])('goes on while it comes, and is charged by its file, %s', async (_how, isDeclared) => {
    const { customer, model } = await prepare('whisper', 5_000)
    answering(model)
    const body = form(['model', model], ['file', SOUND], ['response_format', 'json'])
    const { out, answer } = send(customer.apiKey, isDeclared ? body.length : null)
    out.write(body.subarray(0, 2 * MB))
    const arriving = await world.upstream.arriving(model)
    await until(() => arriving.received() > 2 * MB - 100)
    expect(world.upstream.calls(model)).toEqual([])
    out.write(body.subarray(2 * MB, -1))
    await until(() => arriving.received() > body.length - 100)
    expect(arriving.text()).not.toContain('--xx--')
    out.end(body.subarray(-1))
    const { status, text, headers } = await answer
    expect([status, text]).toEqual([200, '{"text":"Otters."}'])
    const [call] = world.upstream.calls(model)
    expect(call?.raw.equals(body)).toBe(true)
    const told = isDeclared ? String(body.length) : undefined
    expect(call?.headers['content-length']).toBe(told)
    await chargedBySound(customer, idOf(headers), 5_000)
  })

  it('is bounded by its size, and by all of it where credits do not do for that', async () => {
    const { customer, model } = await prepare('whisper', 100)
    answering(model)
    const body = form(['model', model], ['file', SOUND])
    const { out, answer } = send(customer.apiKey, body.length)
    out.end(body)
    const { status, headers } = await answer
    expect(status).toBe(200)
    await chargedBySound(customer, idOf(headers), 100)
    const poor = await prepare('whisper', 1)
    const refused = send(poor.customer.apiKey, body.length)
    refused.out.end(body)
    expect(await refused.answer).toMatchObject({ status: 402 })
    await expectSpent(world, poor.customer, 1, 0)
    expect(world.upstream.calls(model)).toHaveLength(1)
  })

  it.each<[string, readonly Part[], RegExp]>([
    ['another model', [['model', 'gpt-4o-transcribe']], /'model' must be there once/],
    ['another file', [['file', Buffer.from('x')]], /only one of the form/],
    ['a field of another type', [['stream', 'perhaps']], /'stream'/],
  ])('and after it %s never reaches its upstream whole', async (_what, late, message) => {
    const { customer, model } = await prepare('gpt-transcribe')
    answering(model)
    const body = form(['model', model], ['file', SOUND], ...late)
    const { out, answer } = send(customer.apiKey, body.length)
    out.write(body.subarray(0, 2 * MB))
    const arriving = await world.upstream.arriving(model)
    out.end(body.subarray(2 * MB))
    const { status, text } = await answer
    expect(status).toBe(400)
    expect(text).toMatch(message)
    await until(() => arriving.isCut())
    expect(arriving.received()).toBeLessThan(body.length)
    expect(world.upstream.calls(model)).toEqual([])
    await expectSpent(world, customer, GRANT, 0)
  })

  it('starts anew, whole, where it turns out to be more than was held', async () => {
    const { customer, model } = await prepare('gpt-transcribe')
    const usage = { type: 'tokens', input_tokens: 14, output_tokens: 45 }
    answering(model, { text: 'Otters.', usage })
    const body = form(['model', model], ['file', SOUND], ['prompt', 'x'.repeat(150_000)])
    const { out, answer } = send(customer.apiKey, body.length)
    out.write(body.subarray(0, 2 * MB))
    const arriving = await world.upstream.arriving(model)
    out.end(body.subarray(2 * MB))
    const { status, headers } = await answer
    expect(status).toBe(200)
    await until(() => arriving.isCut())
    expect(arriving.received()).toBeLessThan(body.length)
    expect(world.upstream.calls(model).map(({ raw }) => raw.equals(body))).toEqual([true])
    const expected = { usage: { input_tokens: 14, output_tokens: 45 } }
    const receipt = await expectCharged(world, idOf(headers), expected)
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
    expect(await chargedRequests(world, customer)).toEqual([idOf(headers)])
  })

  it('counts once as a request where it starts anew', async () => {
    const { model } = await prepare('gpt-transcribe')
    answering(model, { text: 'Otters.', usage: { type: 'tokens', input_tokens: 1 } })
    const customer = await world.customer(String(GRANT), { rate: { requests_per_minute: 1 } })
    const body = form(['model', model], ['file', SOUND], ['prompt', 'x'.repeat(150_000)])
    const { out, answer } = send(customer.apiKey, body.length)
    out.write(body.subarray(0, 2 * MB))
    const arriving = await world.upstream.arriving(model)
    out.end(body.subarray(2 * MB))
    expect(await answer).toMatchObject({ status: 200 })
    expect(arriving.isCut()).toBe(true)
    const next = send(customer.apiKey, null)
    next.out.end(form(['model', model], ['file', mp3(1_000)]))
    expect(await next.answer).toMatchObject({ status: 429 })
  })

  it('counts as a request where it turns out to be none, and nothing starts anew', async () => {
    const { model } = await prepare('gpt-transcribe')
    const customer = await world.customer(String(GRANT), { rate: { requests_per_minute: 1 } })
    const begin = form(['model', model], ['file', SOUND]).subarray(0, -FORM_END.length - 2)
    const body = Buffer.concat([begin, Buffer.from('\r\n--xx\r\nodd\r\n\r\nmore')])
    const { out, answer } = send(customer.apiKey, body.length)
    out.write(body.subarray(0, 2 * MB))
    await world.upstream.arriving(model)
    out.end(body.subarray(2 * MB))
    expect(await answer).toMatchObject({ status: 400 })
    const next = send(customer.apiKey, null)
    next.out.end(form(['model', model], ['file', mp3(1_000)]))
    expect(await next.answer).toMatchObject({ status: 429 })
  })

  it('is cut where the client leaves: nothing is charged, and nothing of it is kept', async () => {
    const { customer, model } = await prepare()
    const body = form(['model', model], ['file', SOUND])
    const { out } = send(customer.apiKey, body.length)
    out.write(body.subarray(0, 2 * MB))
    const arriving = await world.upstream.arriving(model)
    if (TELLS_FILES) await until(() => formsKept(world.gateway) === 1)
    out.destroy()
    await until(() => arriving.isCut())
    await expectSpent(world, customer, GRANT, 0)
    await until(() => formsKept(world.gateway) === 0)
  })

  it('is cut where it has no end, is no form, or is too long', async () => {
    for (const [status, tail] of [
      [400, Buffer.from('\r\n--xx--')],
      [400, Buffer.from('\r\n--xx\r\nodd\r\n\r\n')],
      [413, Buffer.alloc(32 * MB)],
    ] as const) {
      const { customer, model } = await prepare('whisper', 5_000)
      const begin = form(['model', model], ['file', SOUND]).subarray(0, -FORM_END.length - 2)
      const { out, answer } = send(customer.apiKey, null)
      out.write(begin)
      const arriving = await world.upstream.arriving(model)
      out.end(status === 413 ? tail : Buffer.concat([tail, Buffer.from('more')]))
      expect(await answer.catch(() => ({ status }))).toMatchObject({ status })
      await until(() => arriving.isCut())
      await expectSpent(world, customer, 5_000, 0)
    }
  })

  it('is refused before the rest has come where that changes nothing', async () => {
    const limits = { models: ['gpt-*'] }
    const frozen = await world.customer('10')
    const account = `/admin/v1/accounts/${frozen.accountId}`
    await world.gateway.admin.call('PATCH', account, { status: 'frozen' })
    const edits = '/v1/images/edits'
    for (const [status, { apiKey }, model, path] of [
      [404, await world.customer('10'), newModel('unpriced'), TRANSCRIPTIONS],
      [403, await world.customer('10', limits), newModel(), TRANSCRIPTIONS],
      [403, frozen, newModel(), TRANSCRIPTIONS],
      [404, await world.customer('10'), newModel('unpriced'), edits],
      [403, await world.customer('10', limits), newModel(), edits],
      [403, frozen, newModel(), edits],
    ] as const) {
      const name = path === edits ? 'image' : 'file'
      const body = form(['model', model], [name, SOUND])
      const { out, answer } = send(apiKey, body.length, { path })
      out.write(body.subarray(0, 2 * MB))
      expect(await answer).toMatchObject({ status })
      out.end(body.subarray(2 * MB))
      await once(out, 'finish')
    }
  })

  it('is not refused for a freeze that has ended, as nothing else is', async () => {
    const { customer, model } = await prepare('gpt-image-1')
    answering(model, { created: 1, data: [{ b64_json: 'QQ==' }] })
    const account = `/admin/v1/accounts/${customer.accountId}`
    const body = form(['model', model], ['prompt', 'a hat'], ['image', SOUND])
    const sending = (): Sending => send(customer.apiKey, body.length, { path: '/v1/images/edits' })
    await world.gateway.admin.call('PATCH', account, { status: 'frozen' })
    const refused = sending()
    refused.out.write(body.subarray(0, 2 * MB))
    expect(await refused.answer).toMatchObject({ status: 403 })
    refused.out.end(body.subarray(2 * MB))
    await world.gateway.admin.call('PATCH', account, { status: 'active' })
    const { out, answer } = sending()
    out.end(body)
    expect(await answer).toMatchObject({ status: 200 })
  })

  it('that is more tokens than are left of a limit is bounded by all of it', async () => {
    const { model } = await prepare()
    answering(model)
    const customer = await world.customer(String(GRANT), { rate: { tokens_per_minute: 1_000 } })
    const body = form(['model', model], ['file', SOUND])
    const first = send(customer.apiKey, body.length)
    first.out.write(body.subarray(0, 2 * MB))
    await world.upstream.arriving(model)
    const second = send(customer.apiKey, body.length)
    second.out.end(body)
    expect(await second.answer).toMatchObject({ status: 200 })
    first.out.end(body.subarray(2 * MB))
    expect(await first.answer).toMatchObject({ status: 200 })
  })

  it('gets what its upstream says before it has all of it', async () => {
    const { customer, model } = await prepare()
    const body = form(['model', model], ['file', SOUND])
    const { out, answer } = send(customer.apiKey, body.length)
    out.write(body.subarray(0, 2 * MB))
    const arriving = await world.upstream.arriving(model)
    arriving.out.writeHead(413, { 'content-type': 'application/json' })
    arriving.out.end('{"error":{"message":"too large"}}')
    expect(await answer).toMatchObject({ status: 413, text: '{"error":{"message":"too large"}}' })
    out.end(body.subarray(2 * MB))
    await expectSpent(world, customer, GRANT, 0)
  })
})

/** An upstream that says 429 at once, and reads what comes. */
async function startBusy() {
  const server = createServer((request, out) => {
    request.resume()
    out.writeHead(429, { 'content-type': 'application/json' }).end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/v1`, server }
}

it('a large sound goes to a fallback from its beginning, while it comes', async () => {
  const busy = await startBusy()
  const openai = { protocol: 'openai', api_key: 'sk-operator' }
  const gateway = await world.join({
    upstreams: {
      busy: { ...openai, base_url: busy.url, models: ['first-*'], fallback: 'openai' },
      openai: { ...openai, base_url: `${world.upstream.url}/v1` },
    },
    prices: ['busy', 'openai'].map((upstream) => ({ upstream, model: '*', ...PRICES })),
  })
  const { customer, model } = await prepare('first')
  answering(model)
  const body = form(['model', model], ['file', SOUND])
  const { out, answer } = send(customer.apiKey, body.length, { gateway })
  out.write(body.subarray(0, 2 * MB))
  const arriving = await world.upstream.arriving(model)
  await until(() => arriving.received() > 2 * MB - 100)
  out.end(body.subarray(2 * MB))
  const { status, headers } = await answer
  expect(status).toBe(200)
  expect(world.upstream.calls(model).map(({ raw }) => raw.equals(body))).toEqual([true])
  await chargedBySound(customer, idOf(headers))
  busy.server.close()
})

describe('the SDK', () => {
  const file = () => toFile(SOUND, 'otter.mp3', { type: 'audio/mpeg' })

  it.each([
    ['before the file', true],
    ['after it', false],
  ])('names the model %s: the same bytes, the same charge', async (_where, isFirst) => {
    const { customer, client, model } = await prepare()
    answering(model)
    const sound = await file()
    const asked = isFirst ? { model, file: sound } : { file: sound, model }
    const { data, response } = await client.audio.transcriptions.create(asked).withResponse()
    expect(data.text).toBe('Otters.')
    expect(world.upstream.calls(model)[0]?.raw.includes(SOUND)).toBe(true)
    await chargedBySound(customer, requestIdOf(response))
  })

  it('streams a transcript of a large sound: the receipt says so', async () => {
    const { client, model, customer } = await prepare('gpt-4o-transcribe')
    const usage = { type: 'tokens', input_tokens: 14, output_tokens: 45 }
    world.upstream.on(model, (call) => {
      call.out.writeHead(200, { 'content-type': 'text/event-stream' })
      call.out.end(
        `data: ${JSON.stringify({ type: 'transcript.text.done', text: 'Otters.', usage })}\n\n`,
      )
    })
    const asked = { model, file: await file(), stream: true as const }
    const { data, response } = await client.audio.transcriptions.create(asked).withResponse()
    for await (const event of data) expect(event.type).toBe('transcript.text.done')
    const expected = { usage: { input_tokens: 14, output_tokens: 45 } }
    const receipt = await expectCharged(world, requestIdOf(response), expected)
    expect(receipt.stream).toBe(true)
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })

  it('sends a large image to be edited, with a field after it that bounds the price', async () => {
    const { client, model, customer } = await prepare('gpt-image-1')
    const usage = { total_tokens: 100, input_tokens: 50, output_tokens: 50 }
    answering(model, { created: 1, data: [{ b64_json: 'QQ==' }, { b64_json: 'QQ==' }], usage })
    const bytes = Buffer.alloc(3 * MB, 'otter')
    const image = await toFile(bytes, 'otter.png', { type: 'image/png' })
    const { response } = await client.images
      .edit({ model, prompt: 'a hat', image: [image, image], n: 2 })
      .withResponse()
    const raw = world.upstream.calls(model)[0]?.raw
    expect(raw?.indexOf(bytes)).not.toBe(raw?.lastIndexOf(bytes))
    const buckets = { input_tokens: 50, output_tokens: 50, images: 2 }
    const receipt = await expectCharged(world, requestIdOf(response), { usage: buckets })
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })

  it('tries a large sound again under one key: it is made once', async () => {
    const { customer, client, model } = await prepare()
    answering(model)
    const options = { headers: { 'idempotency-key': `form-${model}` } }
    const ask = async (sound: File) =>
      client.audio.transcriptions.create({ model, file: sound }, options).withResponse()
    const first = await ask(await file())
    const again = await ask(await file())
    expect(again.data).toEqual(first.data)
    expect(again.response.headers.get('x-farebox-replayed')).toBe('true')
    const other = await toFile(Buffer.concat([SOUND, Buffer.from('x')]), 'otter.mp3')
    await expect(ask(other)).rejects.toMatchObject({ status: 400, code: 'idempotency_key_reused' })
    expect(world.upstream.calls(model)).toHaveLength(1)
    await chargedBySound(customer, requestIdOf(first.response))
  })
})
