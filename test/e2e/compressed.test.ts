import zlib from 'node:zlib'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { chatAnswer, chatStream, type Tokens } from './support/answers.ts'
import type { Call } from './support/upstream.ts'
import {
  ask,
  bodyFor,
  expectCharged,
  newModel,
  requestIdOf,
  startWorld,
  type World,
} from './support/world.ts'

const TOKENS: Tokens = { input: 30, output: 7 }
const USAGE = { input_tokens: 30, output_tokens: 7 }

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.end())

async function asked(script: (call: Call, model: string) => void, stream: boolean) {
  const { apiKey } = await world.customer('10')
  const model = newModel('compressed')
  world.upstream.on(model, (call) => {
    script(call, model)
  })
  const more = { stream, ...(stream && { stream_options: { include_usage: true } }) }
  const answer = await ask(world.gateway, 'openai', apiKey, bodyFor('openai', model, more))
  const text = await answer.text()
  expect((await world.upstream.call(model)).headers['accept-encoding']).toBe('identity')
  expect(answer.headers.get('content-encoding')).toBeNull()
  return { answer, text, model }
}

it('an answer that comes compressed all the same is metered, and passed on plain', async () => {
  const { answer, text, model } = await asked((call, named) => {
    const type = { 'content-type': 'application/json', 'content-encoding': 'gzip' }
    call.out.writeHead(200, type)
    call.out.end(zlib.gzipSync(JSON.stringify(chatAnswer(named, 'Sunny.', TOKENS))))
  }, false)
  expect(JSON.parse(text)).toMatchObject({ model, usage: { prompt_tokens: 30 } })
  await expectCharged(world, requestIdOf(answer), { usage: USAGE })
})

it('a stream that comes compressed passes event by event', async () => {
  const events: string[] = []
  const { answer, text } = await asked((call, named) => {
    const type = { 'content-type': 'text/event-stream', 'content-encoding': 'br' }
    call.out.writeHead(200, type)
    const encoder = zlib.createBrotliCompress()
    encoder.pipe(call.out)
    events.push(...chatStream(named, ['Sun', 'ny.'], TOKENS))
    for (const event of events) {
      encoder.write(event)
      encoder.flush()
    }
    encoder.end()
  }, true)
  expect(text).toBe(events.join(''))
  await expectCharged(world, requestIdOf(answer), { usage: USAGE })
})

it('an error that comes compressed is told plain and costs nothing', async () => {
  const told = { error: { message: 'No.', type: 'invalid_request_error', param: null, code: null } }
  const { answer, text } = await asked((call) => {
    call.out.writeHead(400, { 'content-type': 'application/json', 'content-encoding': 'deflate' })
    call.out.end(zlib.deflateSync(JSON.stringify(told)))
  }, false)
  expect(answer.status).toBe(400)
  expect(JSON.parse(text)).toEqual(told)
})
