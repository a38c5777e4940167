import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { untilReady } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { chatAnswer, messagesAnswer } from './support/answers.ts'
import { expectRefusal, TABLE, type Row } from './support/envelopes.ts'
import { openRaw, parseAnswer, sendRaw } from './support/raw.ts'
import { answerJson, type Call } from './support/upstream.ts'
import {
  ask,
  bodyFor,
  expectCharged,
  expectSpent,
  FAMILIES,
  newModel,
  PATHS,
  requestIdOf,
  startWorld,
  type FamilyName,
  type World,
} from './support/world.ts'

const TOKENS = { input: 12, output: 8 }
let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.end())

const reply = (family: FamilyName, call: Call): void => {
  const make = family === 'openai' ? chatAnswer : messagesAnswer
  answerJson(call, make(String(call.json.model), 'Yes.', TOKENS))
}

const answering = (family: FamilyName): string => {
  const model = newModel()
  world.upstream.on(model, (call) => {
    reply(family, call)
  })
  return model
}

/** A body whose cost-bounding fields are text, so that they can be anything JSON or nearly so. */
const body = (model: string, fields: string): string =>
  `{"model":"${model}","messages":[{"role":"user","content":"hi"}],${fields}}`

const WRONG_FIELDS: Readonly<Record<string, string>> = {
  'a limit beyond every number': '"max_tokens":1e309',
  'a negative limit': '"max_tokens":-1',
  'a negative zero': '"max_tokens":-0',
  'a zero limit': '"max_tokens":0',
  'a fractional limit': '"max_tokens":1.5',
  'a limit beyond 2^53': '"max_tokens":9007199254740993',
  'a limit as text': '"max_tokens":"100"',
  'a limit as a list': '"max_tokens":[100]',
  'a limit named twice': '"max_tokens":100,"max_tokens":100000',
  'a limit named twice, once escaped': '"max_tokens":100,"max\\u005ftokens":100000',
  'a limit in capitals': '"max_tokens":100,"Max_Tokens":100000',
  'a model named twice': '"max_tokens":100,"model":"other"',
  'stream as text': '"max_tokens":100,"stream":"yes"',
  'tools that are no list': '"max_tokens":100,"tools":{"a":1}',
}

describe.each(FAMILIES)('%s', (family) => {
  const path = PATHS[family]

  /** Refused in the caller's envelope; nothing called, charged or held. */
  async function refused(send: (model: string, apiKey: string) => Promise<Response>, row: Row) {
    const model = answering(family)
    const customer = await world.customer('10')
    const told = await expectRefusal(await send(model, customer.apiKey), family, row)
    expect(world.upstream.calls(model)).toEqual([])
    await expectSpent(world, customer, 10, 0)
    return told
  }

  it.each(Object.entries(WRONG_FIELDS))(
    '%s is refused, and it is said which',
    async (_, fields) => {
      const { message } = await refused(
        (model, apiKey) => ask(world.gateway, family, apiKey, body(model, fields)),
        TABLE.invalidRequest,
      )
      expect(message).toMatch(/max_tokens|model|stream|tools/)
    },
  )

  it('nesting without end is refused', async () => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const) {
      const deep = `${open.repeat(100_000)}1${close.repeat(100_000)}`
      await refused(
        (model, apiKey) =>
          ask(world.gateway, family, apiKey, body(model, `"max_tokens":9,"x":${deep}`)),
        TABLE.invalidJson,
      )
      await refused(
        (_, apiKey) => ask(world.gateway, family, apiKey, open.repeat(1_000_000)),
        TABLE.invalidJson,
      )
    }
  })

  it('bytes that are no UTF-8 are refused', async () => {
    await refused((model, apiKey) => {
      const text = body(model, '"max_tokens":9')
      const bytes = Buffer.concat([Buffer.from(text.slice(0, -1)), Buffer.from([0xff, 0x7d])])
      const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }
      return fetch(`${world.gateway.url}${path}`, { method: 'POST', headers, body: bytes })
    }, TABLE.invalidJson)
  })

  it('no body, and a body of another type, are refused or read, never a fault', async () => {
    for (const type of ['text/plain', 'multipart/form-data; boundary=x', 'application/json']) {
      await refused((_, apiKey) => {
        const headers = { authorization: `Bearer ${apiKey}`, 'content-type': type }
        return fetch(`${world.gateway.url}${path}`, { method: 'POST', headers })
      }, TABLE.invalidJson)
    }
  })

  it('names of the prototype are names like others', async () => {
    const model = answering(family)
    const customer = await world.customer('10')
    const fields =
      '"max_tokens":9,"__proto__":{"max_tokens":1,"stream":true},"constructor":{"prototype":{}},' +
      '"toString":1,"hasOwnProperty":"x"'
    const sent = body(model, fields)
    const response = await ask(world.gateway, family, customer.apiKey, sent)
    expect(response.status).toBe(200)
    expect(world.upstream.calls(model).map((call) => call.raw.toString())).toEqual([sent])
    const receipt = await expectCharged(world, requestIdOf(response), {})
    await expectSpent(world, customer, 10, receipt.cost.micros)
    for (const name of ['__proto__', 'constructor', 'toString']) {
      world.upstream.on(name, (call) => {
        reply(family, call)
      })
      const odd = await ask(world.gateway, family, customer.apiKey, bodyFor(family, name))
      expect(odd.status).toBe(200)
      await expectCharged(world, requestIdOf(odd), {})
    }
  })

  it('ten megabytes pass unchanged where they are paid for', async () => {
    const model = answering(family)
    const customer = await world.customer('10000')
    const text = 'All work and no play makes Jack a dull boy. '.repeat(240_000)
    const sent = JSON.stringify(
      bodyFor(family, model, { max_tokens: 9, messages: [{ role: 'user', content: text }] }),
    )
    expect(sent.length).toBeGreaterThan(10_000_000)
    const response = await ask(world.gateway, family, customer.apiKey, sent)
    expect(response.status).toBe(200)
    const [call] = world.upstream.calls(model)
    expect(call?.raw.equals(Buffer.from(sent))).toBe(true)
    const receipt = await expectCharged(world, requestIdOf(response), {})
    await expectSpent(world, customer, 10_000, receipt.cost.micros)
  })

  it('fifty thousand characters without a space are counted or refused within seconds', async () => {
    const content = '漢字仮名交文'.repeat(8_334)
    // The byte bound does not fit the balance, so it is counted before it is refused.
    const { message } = await refused(
      (model, apiKey) =>
        ask(
          world.gateway,
          family,
          apiKey,
          bodyFor(family, model, { max_tokens: 99_000, messages: [{ role: 'user', content }] }),
        ),
      TABLE.noCredits,
    )
    expect(message).toContain('Out of credits')
    // A tokenizer that is quadratic on it takes minutes, on any machine.
  }, 60_000)

  it('a body that breaks off or trickles in holds nothing', async () => {
    const model = answering(family)
    const customer = await world.customer('10')
    const sent = body(model, '"max_tokens":9')
    const head =
      `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n` +
      `connection: close\r\nauthorization: Bearer ${customer.apiKey}\r\n` +
      `content-length: ${sent.length}\r\n\r\n`
    const gone = openRaw(world.gateway)
    gone.write(head + sent.slice(0, -9))
    await until(() => gone.socket.bytesWritten > head.length)
    gone.socket.destroy()
    const slow = openRaw(world.gateway)
    slow.write(head)
    for (const part of sent.match(/.{1,8}/g) ?? []) {
      slow.write(part)
      await new Promise(setImmediate)
    }
    await until(() => slow.socket.closed)
    const answer = parseAnswer(slow.received())
    expect(answer.status).toBe(200)
    expect(world.upstream.calls(model)).toHaveLength(1)
    const receipt = await expectCharged(world, requestIdOf(answer), {})
    await expectSpent(world, customer, 10, receipt.cost.micros)
  })

  it('a name of a model that Postgres would refuse is refused, and taken from an answer', async () => {
    await refused(
      (model, apiKey) =>
        ask(world.gateway, family, apiKey, body(`${model}\\u0000`, '"max_tokens":9')),
      TABLE.invalidRequest,
    )
    const customer = await world.customer('10')
    const model = newModel()
    world.upstream.on(model, (call) => {
      const make = family === 'openai' ? chatAnswer : messagesAnswer
      answerJson(call, make(`${model}\0`, 'Yes.', TOKENS))
    })
    const answer = await ask(world.gateway, family, customer.apiKey, bodyFor(family, model))
    expect(answer.status).toBe(200)
    const receipt = await expectCharged(world, requestIdOf(answer), {})
    expect(receipt.model).toBe(`${model}\ufffd`)
    await expectSpent(world, customer, 10, receipt.cost.micros)
  })

  it('a declared size beyond the limit is refused at once', async () => {
    await refused(
      (_, apiKey) =>
        sendRaw(
          world.gateway,
          `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${apiKey}\r\n` +
            'content-type: application/json\r\nconnection: close\r\n' +
            'content-length: 99999999999\r\n\r\n{"model"',
        ),
      TABLE.tooLarge,
    )
  })
})

it.each(['model', 'window'])(
  'more searches than numbers tell cost too much (%s)',
  async (policy) => {
    const customer = await world.customer('1000')
    const search = { type: 'web_search_20250305', max_uses: Number.MAX_SAFE_INTEGER }
    const tools = ['a', 'b'].map((name) => ({ ...search, name }))
    const asked = bodyFor('anthropic', newModel(policy), { tools })
    const headers = { 'idempotency-key': `searches-${policy}` }
    for (const turn of ['the first time', 'and again: its key is free']) {
      const response = await ask(world.gateway, 'anthropic', customer.apiKey, asked, { headers })
      expect([turn, response.status]).toEqual([turn, 402])
      await expectRefusal(response, 'anthropic', TABLE.noCredits)
    }
    await expectSpent(world, customer, 1_000, 0)
  },
)

it('the process that took all this is the one that was started, and it is well', async () => {
  await untilReady(world.gateway)
  expect(world.gateway.output()).not.toMatch(/"level":"?(error|50)/)
  const metrics = await (await fetch(`${world.gateway.url}/metrics`)).text()
  expect(metrics).toMatch(/^farebox_\w*holds\w* 0$/m)
})
