import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Customer } from '../support/admin.ts'
import { untilReady } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { expectRefusal, TABLE } from './support/envelopes.ts'
import {
  form,
  FORM_END,
  formsKept,
  mp3,
  secondsOf,
  sendForm,
  TRANSCRIPTIONS,
} from './support/forms.ts'
import { openRaw, parseAnswer, type RawClient } from './support/raw.ts'
import { answerJson } from './support/upstream.ts'
import {
  expectCharged,
  expectSpent,
  newModel,
  onlyRequestOf,
  startWorld,
  type World,
} from './support/world.ts'

const GRANT = 5_000
const MB = 1024 * 1024
const SHORT = mp3(20_000)
const LONG = mp3(3 * MB)
const EDITS = '/v1/images/edits'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.end())

async function prepare() {
  const customer = await world.customer(String(GRANT))
  const model = newModel('whisper')
  world.upstream.on(model, (call) => {
    answerJson(call, { text: 'Otters.' })
  })
  return { customer, model }
}

/** Nothing was called, charged or held, and nothing is kept. */
async function expectNothing(customer: Customer, model: string): Promise<void> {
  expect(world.upstream.calls(model)).toEqual([])
  await expectSpent(world, customer, GRANT, 0)
  await until(() => formsKept(world.gateway) === 0)
}

/** The head of a request; `length` null = in chunks, which the caller makes. */
function say(path: string, { apiKey }: Customer, length: number | null): RawClient {
  const client = openRaw(world.gateway)
  client.write(
    [
      `POST ${path} HTTP/1.1`,
      'host: gateway',
      'content-type: multipart/form-data; boundary=xx',
      `authorization: Bearer ${apiKey}`,
      length === null ? 'transfer-encoding: chunked' : `content-length: ${length}`,
      '\r\n',
    ].join('\r\n'),
  )
  return client
}

/** The first answer that comes. */
const answerOf = async (client: RawClient): Promise<Response> => {
  await until(() => /\r\n\r\n.*\}/s.test(client.received()))
  return parseAnswer(client.received().replace(/(\})HTTP\/1\.1 .*$/s, '$1'))
}

type Make = (model: string, sound: Buffer) => Buffer
const tiny = Buffer.from('--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n')
const unended = (sound: Buffer): Buffer => form(['file', sound]).subarray(0, -FORM_END.length)
const BAD: Readonly<Record<string, Make>> = {
  'a boundary inside of data, behind no line end': (model, sound) =>
    form(['model', model], ['file', Buffer.concat([sound, Buffer.from('--xx\r\n'), sound])]),
  'a header of a megabyte': (model, sound) =>
    Buffer.concat([
      unended(sound),
      Buffer.from(`--xx\r\nContent-Disposition: form-data; name="${'m'.repeat(MB)}"\r\n\r\n`),
      Buffer.from(`x\r\n${form(['model', model]).toString()}`),
    ]),
  'a hundred thousand parts': (model, sound) =>
    Buffer.concat([
      ...Array.from({ length: 100_000 }, () => tiny),
      form(['model', model], ['file', sound]),
    ]),
  'a model twice': (model, sound) =>
    form(['model', model], ['file', sound], ['model', `other-${model}`]),
  'an end in the middle of its boundary': (model, sound) =>
    form(['model', model], ['file', sound]).subarray(0, -5),
}

describe.each([
  ['short', SHORT],
  ['long', LONG],
])('a %s form with', (_length, sound) => {
  it.each(Object.entries(BAD))('%s is refused', async (_what, make) => {
    for (const [path, isDeclared] of [
      [TRANSCRIPTIONS, true],
      [TRANSCRIPTIONS, false],
      [EDITS, true],
    ] as const) {
      const { customer, model } = await prepare()
      const body = make(model, sound)
      const { out, answer } = sendForm(
        world.gateway,
        path,
        customer.apiKey,
        isDeclared ? body.length : null,
      )
      out.end(body)
      const { status, text, headers } = await answer
      const said = Object.entries(headers).map(([name, value]) => [name, String(value)] as const)
      const told = new Response(text, { status, headers: new Headers(Object.fromEntries(said)) })
      const { message } = await expectRefusal(told, 'openai', TABLE.invalidRequest)
      expect(message).toMatch(/The form could not be read|must be there once/)
      await expectNothing(customer, model)
    }
  })

  it('names of the prototype, and its model after the file, is as any other', async () => {
    const { customer, model } = await prepare()
    const odd = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'] as const
    const body = form(['file', sound], ...odd.map((name) => [name, '1'] as const), ['model', model])
    const { out, answer } = sendForm(world.gateway, TRANSCRIPTIONS, customer.apiKey, body.length)
    out.end(body)
    expect((await answer).status).toBe(200)
    expect(world.upstream.calls(model).map(({ raw }) => raw.equals(body))).toEqual([true])
    const receipt = await world.gateway.admin.receipt(await onlyRequestOf(world, customer))
    expect(receipt.usage).toEqual({ seconds: expect.closeTo(secondsOf(sound), 0) as unknown })
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
    await until(() => formsKept(world.gateway) === 0)
  })

  it('more than it declares, or less, or no end of its chunks is refused', async () => {
    for (const lie of [-9, 9, null]) {
      const { customer, model } = await prepare()
      const body = form(['model', model], ['file', sound])
      const client = say(TRANSCRIPTIONS, customer, lie === null ? null : body.length + lie)
      if (lie === null) client.write(`${body.length.toString(16)}\r\n`)
      client.write(body)
      if (lie !== -9) client.socket.end()
      await expectRefusal(await answerOf(client), 'openai', TABLE.invalidRequest)
      await until(() => client.socket.closed)
      await expectNothing(customer, model)
    }
  })

  it('a client that leaves in the middle of it holds nothing', async () => {
    const { customer, model } = await prepare()
    const body = form(['model', model], ['file', sound])
    const client = say(TRANSCRIPTIONS, customer, body.length)
    client.write(body.subarray(0, -9))
    await until(() => client.socket.writableLength === 0)
    client.socket.destroy()
    await expectNothing(customer, model)
  })
})

it('is charged what its upstream said before it had all of it, and once', async () => {
  const { customer, model } = await prepare()
  const body = form(['model', model], ['file', LONG])
  const { out, answer } = sendForm(world.gateway, TRANSCRIPTIONS, customer.apiKey, body.length)
  out.write(body.subarray(0, 2 * MB))
  const arriving = await world.upstream.arriving(model)
  const usage = { type: 'duration', seconds: 7 }
  arriving.out.writeHead(200, { 'content-type': 'application/json' })
  arriving.out.end(JSON.stringify({ text: 'Otters.', usage }))
  expect(await answer).toMatchObject({ status: 200 })
  out.end(body.subarray(2 * MB))
  const id = await onlyRequestOf(world, customer)
  const receipt = await expectCharged(world, id, { usage: { seconds: 7 } })
  await expectSpent(world, customer, GRANT, receipt.cost.micros)
  await until(() => formsKept(world.gateway) === 0)
})

it('the process that took all this is well', async () => {
  await untilReady(world.gateway)
  expect(world.gateway.output()).not.toMatch(/"level":"?(error|50)/)
  const metrics = await (await fetch(`${world.gateway.url}/metrics`)).text()
  expect(metrics).toMatch(/^farebox_\w*holds\w* 0$/m)
})
