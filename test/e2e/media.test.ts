import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { answerJson, answerStream, openStream } from './support/upstream.ts'
import {
  expectCharged,
  expectChargedSoon,
  expectSpent,
  newModel,
  onlyRequestOf,
  requestIdOf,
  startWorld,
  type World,
} from './support/world.ts'

const GRANT = 1_000
const IMAGE_USAGE = {
  total_tokens: 100,
  input_tokens: 50,
  output_tokens: 50,
  input_tokens_details: { text_tokens: 10, image_tokens: 40 },
}
const IMAGE_BUCKETS = { input_tokens: 10, input_image_tokens: 40, output_tokens: 50, images: 1 }

/** Silence of so many seconds, 16 kHz mono. */
function wav(seconds: number): Buffer {
  const bytes = seconds * 32_000
  const head = Buffer.alloc(44)
  head.write('RIFF\0\0\0\0WAVEfmt ', 'latin1')
  head.writeUInt32LE(bytes + 36, 4)
  head.writeUInt32LE(16, 16)
  head.writeUInt16LE(1, 20)
  head.writeUInt16LE(1, 22)
  head.writeUInt32LE(16_000, 24)
  head.writeUInt32LE(32_000, 28)
  head.writeUInt16LE(2, 32)
  head.writeUInt16LE(16, 34)
  head.write('data', 36)
  head.writeUInt32LE(bytes, 40)
  return Buffer.concat([head, Buffer.alloc(bytes)])
}

const sse = (...events: Readonly<Record<string, unknown>>[]): string[] =>
  events.map((data) => `event: ${String(data.type)}\ndata: ${JSON.stringify(data)}\n\n`)

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.end())

async function prepare(prefix?: string, credits = GRANT) {
  const customer = await world.customer(String(credits))
  const baseURL = `${world.gateway.url}/v1`
  const client = new OpenAI({ baseURL, apiKey: customer.apiKey, maxRetries: 0 })
  return { customer, client, model: newModel(prefix) }
}
type Prepared = Awaited<ReturnType<typeof prepare>>

async function charged(
  { customer }: Prepared,
  response: Response,
  usage: Readonly<Record<string, number>>,
  protocol: string,
): Promise<void> {
  const receipt = await expectCharged(world, requestIdOf(response), { usage })
  expect(receipt.protocol).toBe(protocol)
  await expectSpent(world, customer, GRANT, receipt.cost.micros)
}

describe('images', () => {
  it('are generated, charged as reported and by their number', async () => {
    const prepared = await prepare('gpt-image-1')
    const { client, model } = prepared
    world.upstream.on(model, (call) => {
      answerJson(call, { created: 1, data: [{ b64_json: 'QUJD' }], usage: IMAGE_USAGE })
    })
    const { data, response } = await client.images
      .generate({ model, prompt: 'an otter' })
      .withResponse()
    expect(data.data?.[0]?.b64_json).toBe('QUJD')
    expect(response.headers.get('x-farebox-cost')).not.toBeNull()
    await charged(prepared, response, IMAGE_BUCKETS, 'openai-images')
  })

  it('stream; their last event waits for the charge', async () => {
    const prepared = await prepare('gpt-image-1')
    const { client, model, customer } = prepared
    const partial = { type: 'image_generation.partial_image', b64_json: 'QQ==' }
    const whole = { type: 'image_generation.completed', b64_json: 'QUJD', usage: IMAGE_USAGE }
    world.upstream.on(model, (call) => {
      answerStream(call, sse(partial, whole))
    })
    const stream = await client.images.generate({ model, prompt: 'an otter', stream: true })
    const types: string[] = []
    for await (const event of stream) types.push(event.type)
    expect(types).toEqual([partial.type, whole.type])
    const requestId = await onlyRequestOf(world, customer)
    await expectCharged(world, requestId, { usage: IMAGE_BUCKETS })
  })

  it('of a stream that the client leaves are charged as made', async () => {
    const { client, model, customer } = await prepare('gpt-image-1')
    world.upstream.on(model, (call) => {
      openStream(call, sse({ type: 'image_generation.partial_image', b64_json: 'QQ==' }))
    })
    const asked = { model, prompt: 'an otter', stream: true as const, quality: 'low' as const }
    const stream = await client.images.generate({ ...asked, size: '1024x1024' })
    for await (const event of stream) if (event.type.endsWith('partial_image')) break
    const requestId = await onlyRequestOf(world, customer)
    const usage = { input_tokens: 2, output_tokens: 272, images: 1 }
    await expectChargedSoon(world, requestId, { usage, estimated: true })
  })

  it('are edited: the form reaches the provider byte for byte', async () => {
    const prepared = await prepare('gpt-image-1')
    const { client, model } = prepared
    world.upstream.on(model, (call) => {
      answerJson(call, { created: 1, data: [{ b64_json: 'QUJD' }], usage: IMAGE_USAGE })
    })
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, at) => at % 251))
    const image = await toFile(bytes, 'otter.png', { type: 'image/png' })
    const { response } = await client.images
      .edit({ model, prompt: 'Füge einen Hut hinzu', image: [image, image], n: 1 })
      .withResponse()
    const [call] = world.upstream.calls(model)
    expect(call?.path).toBe('/v1/images/edits')
    expect(call?.headers['content-type']).toMatch(/^multipart\/form-data; boundary=/)
    expect(call?.raw.includes(bytes)).toBe(true)
    expect(call?.headers['content-length']).toBe(String(call?.raw.length))
    await charged(prepared, response, IMAGE_BUCKETS, 'openai-images')
  })

  it('hold what they may cost: more than there is never leaves', async () => {
    const { client, model, customer } = await prepare('gpt-image-1', 10)
    const costly = { model, prompt: 'x', n: 10, quality: 'high' as const }
    await expect(client.images.generate(costly)).rejects.toMatchObject({ status: 402 })
    expect(world.upstream.calls(model)).toEqual([])
    await expectSpent(world, customer, 10, 0)
  })

  it('without a price are refused', async () => {
    const { client, model, customer } = await prepare('unpriced')
    const asked = client.images.generate({ model, prompt: 'x' })
    await expect(asked).rejects.toMatchObject({ status: 404, code: 'model_not_found' })
    await expectSpent(world, customer, GRANT, 0)
  })
})

describe('speech', () => {
  it('is heard while it comes and charged by the character', async () => {
    const prepared = await prepare()
    const { client, model } = prepared
    let finish = (): void => undefined
    world.upstream.on(model, (call) => {
      call.out.writeHead(200, { 'content-type': 'audio/mpeg' })
      call.out.write(Buffer.alloc(1_000, 1))
      call.out.write(Buffer.alloc(1_000, 2))
      finish = () => call.out.end(Buffer.alloc(10, 3))
    })
    const response = await client.audio.speech.create({ model, input: 'Grüezi', voice: 'ash' })
    expect(response.headers.get('content-type')).toBe('audio/mpeg')
    finish()
    expect((await response.arrayBuffer()).byteLength).toBe(2_010)
    await charged(prepared, response, { characters: 6 }, 'openai-speech')
  })

  it('in events is charged as they report', async () => {
    const prepared = await prepare()
    const { client, model } = prepared
    const usage = { input_tokens: 14, output_tokens: 101, total_tokens: 115 }
    const delta = { type: 'speech.audio.delta', audio: 'QUJD' }
    world.upstream.on(model, (call) => {
      answerStream(call, sse(delta, { type: 'speech.audio.done', usage }))
    })
    const asked = { model, input: 'Grüezi', voice: 'ash', stream_format: 'sse' as const }
    const response = await client.audio.speech.create(asked)
    expect(await response.text()).toContain('speech.audio.done')
    const buckets = { input_tokens: 14, output_tokens: 101, output_audio_tokens: 101 }
    await charged(prepared, response, buckets, 'openai-speech')
  })
})

describe('transcripts', () => {
  const sound = () => toFile(wav(7), 'otter.wav', { type: 'audio/wav' })

  /** The SDK's method for it is deprecated. */
  function translate({ customer, model }: Prepared, file: File, format: string) {
    const body = new FormData()
    body.set('model', model)
    body.set('response_format', format)
    body.set('file', file)
    const headers = { authorization: `Bearer ${customer.apiKey}` }
    const url = `${world.gateway.url}/v1/audio/translations`
    return fetch(url, { method: 'POST', headers, body })
  }

  it.each([
    ['whisper-1', { type: 'duration', seconds: 7 }, { seconds: 7 }],
    [
      'gpt-4o-transcribe',
      {
        type: 'tokens',
        input_tokens: 14,
        input_token_details: { audio_tokens: 14 },
        output_tokens: 45,
      },
      { input_audio_tokens: 14, output_tokens: 45 },
    ],
  ])('of %s are charged as reported', async (prefix, usage, buckets) => {
    const prepared = await prepare(prefix)
    const { client, model } = prepared
    world.upstream.on(model, (call) => {
      answerJson(call, { text: 'The sun rises.', usage })
    })
    const { data, response } = await client.audio.transcriptions
      .create({ model, file: await sound() })
      .withResponse()
    expect(data.text).toBe('The sun rises.')
    expect(world.upstream.calls(model)[0]?.raw.includes(wav(7))).toBe(true)
    await charged(prepared, response, buckets, 'openai-transcriptions')
  })

  it('stream and are charged by their last event', async () => {
    const prepared = await prepare('gpt-4o-transcribe')
    const { client, model, customer } = prepared
    const usage = { type: 'tokens', input_tokens: 14, output_tokens: 45 }
    const deltas = ['The ', 'sun.'].map((delta) => ({ type: 'transcript.text.delta', delta }))
    world.upstream.on(model, (call) => {
      answerStream(call, sse(...deltas, { type: 'transcript.text.done', text: 'The sun.', usage }))
    })
    const asked = { model, file: await sound(), stream: true as const }
    let text = ''
    for await (const event of await client.audio.transcriptions.create(asked)) {
      if (event.type === 'transcript.text.done') text = event.text
    }
    expect(text).toBe('The sun.')
    const requestId = await onlyRequestOf(world, customer)
    await expectCharged(world, requestId, { usage: { input_tokens: 14, output_tokens: 45 } })
  })

  it('that report nothing are charged by the length of the file', async () => {
    const prepared = await prepare('whisper-1')
    world.upstream.on(prepared.model, (call) => {
      call.out.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' })
      call.out.end('The sun rises.\n')
    })
    const response = await translate(prepared, await sound(), 'text')
    expect(await response.text()).toBe('The sun rises.\n')
    await charged(prepared, response, { seconds: 7 }, 'openai-translations')
  })

  it('of a file that nobody can read are estimated by its size', async () => {
    const prepared = await prepare('whisper-1')
    world.upstream.on(prepared.model, (call) => {
      answerJson(call, { text: 'hello' })
    })
    const file = await toFile(Buffer.alloc(20_000, 0xff), 'odd.mp3')
    const response = await translate(prepared, file, 'json')
    expect(await response.json()).toEqual({ text: 'hello' })
    const usage = { seconds: 10 }
    await expectCharged(world, requestIdOf(response), { usage, estimated: true })
  })

  it('tried again under one key are made once, though each try draws a boundary', async () => {
    const prepared = await prepare('whisper-1')
    const { client, model } = prepared
    world.upstream.on(model, (call) => {
      answerJson(call, { text: 'once', usage: { type: 'duration', seconds: 7 } })
    })
    const options = { headers: { 'idempotency-key': `form-${model}` } }
    const asked = async () =>
      client.audio.transcriptions.create({ model, file: await sound() }, options).withResponse()
    const first = await asked()
    const again = await asked()
    expect(again.data).toEqual(first.data)
    expect(again.response.headers.get('x-farebox-replayed')).toBe('true')
    expect(world.upstream.calls(model)).toHaveLength(1)
    await charged(prepared, first.response, { seconds: 7 }, 'openai-transcriptions')
  })

  it('in forms that cannot be read never leave', async () => {
    const { customer, model } = await prepare()
    const send = (type: string, body: string) =>
      fetch(`${world.gateway.url}/v1/audio/transcriptions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${customer.apiKey}`, 'content-type': type },
        body,
      })
    for (const [type, body] of [
      ['application/json', JSON.stringify({ model })],
      ['multipart/form-data', 'x'],
      ['multipart/form-data; boundary=xx', `--xx\r\n\r\n\r\n--xx--`],
    ] as const) {
      const answer = await send(type, body)
      expect(answer.status).toBe(400)
      expect(await answer.json()).toMatchObject({ error: { type: 'invalid_request_error' } })
    }
    const large = Buffer.alloc(33 * 1024 * 1024).toString('latin1')
    expect((await send('multipart/form-data; boundary=xx', large)).status).toBe(413)
    expect(world.upstream.calls(model)).toEqual([])
    await expectSpent(world, customer, GRANT, 0)
  })
})

const Cassette = z.object({
  response: z.object({ body: z.string() }),
  expected: z.object({ usage: z.record(z.string(), z.number()) }),
})
const directory = process.env.FAREBOX_CASSETTES
const RECORDED = ['oai-images-json-usage', 'oai-transcription-seconds', 'oai-transcription-tokens']
describe.skipIf(directory === undefined)('a recorded answer is charged to the micro', () => {
  it.each(RECORDED)('%s', async (name) => {
    const path = join(directory ?? '', `${name}.json`)
    expect(existsSync(path)).toBe(true)
    const { response: recorded, expected } = Cassette.parse(JSON.parse(readFileSync(path, 'utf8')))
    const prepared = await prepare(name.includes('seconds') ? 'whisper-1' : 'gpt-recorded')
    const { client, model } = prepared
    world.upstream.on(model, (call) => {
      answerJson(call, recorded.body)
    })
    const { response } = name.includes('images')
      ? await client.images.generate({ model, prompt: 'x' }).withResponse()
      : await client.audio.transcriptions
          .create({ model, file: await toFile(wav(7), 'x.wav') })
          .withResponse()
    const protocol = name.includes('images') ? 'openai-images' : 'openai-transcriptions'
    await charged(prepared, response, expected.usage, protocol)
  })
})
