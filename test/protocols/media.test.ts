import { describe, expect, it } from 'vitest'
import { readForm } from '../../src/protocols/form-scan.ts'
import { usedOf } from '../../src/protocols/asked.ts'
import { openaiImageEdits, openaiImages } from '../../src/protocols/openai-images.ts'
import { openaiSpeech } from '../../src/protocols/openai-speech.ts'
import {
  openaiTranscriptions,
  openaiTranslations,
} from '../../src/protocols/openai-transcriptions.ts'
import type {
  FormSounds,
  MeterReport,
  Protocol,
  RequestView,
  SoundReading,
} from '../../src/protocols/protocol.ts'
import { everyByte, feed } from './support.ts'

const bytes = (body: unknown): Buffer => Buffer.from(JSON.stringify(body))
const TYPE = 'multipart/form-data; boundary=xx'

type Fields = Readonly<Record<string, string | Buffer>>
/** Buffers are files. */
const form = (fields: Fields): Buffer =>
  Buffer.concat([
    ...Object.entries(fields).flatMap(([name, value]) => [
      Buffer.from(`--xx\r\nContent-Disposition: form-data; name="${name}"`),
      Buffer.from(typeof value === 'string' ? '\r\n\r\n' : '; filename="f"\r\n\r\n'),
      Buffer.from(value),
      Buffer.from('\r\n'),
    ]),
    Buffer.from('--xx--\r\n'),
  ])

function viewOf(protocol: Protocol, body: unknown): RequestView {
  const view = protocol.readBytes(bytes(body))
  if (!view.ok) throw new Error(view.message)
  return view
}

const readingOf = (seconds: number | null): SoundReading =>
  seconds === null ? { kind: 'unreadable' } : { kind: 'read', seconds, isExact: true }
const listening = (seconds: number | null) => ({
  seconds: () => Promise.resolve(readingOf(seconds)),
})

function readAs(protocol: Protocol, fields: Fields, sounds: FormSounds) {
  const read = readForm(form(fields), TYPE, protocol.forms?.fileHeadBytes ?? 0)
  return read.ok ? protocol.forms?.read(read, sounds) : read
}

async function viewOfForm(protocol: Protocol, fields: Fields, seconds: number | null = 7) {
  const view = await readAs(protocol, fields, listening(seconds))
  if (view?.ok !== true) throw new Error(view?.message ?? 'takes no forms')
  return view
}

const usedBy = (view: RequestView, report: MeterReport) =>
  view.asked === undefined ? view.used?.(report) : usedOf(view.asked, report)
const json = (protocol: Protocol, view: RequestView, answer: unknown) =>
  usedBy(view, protocol.meterAnswer(bytes(answer)))

const events = (...all: Readonly<Record<string, unknown>>[]): Buffer =>
  Buffer.from(
    all.map((data) => `event: ${String(data.type)}\ndata: ${JSON.stringify(data)}\n\n`).join(''),
  )
function streamed(protocol: Protocol, view: RequestView, stream: Buffer) {
  const whole = feed(protocol.makeStreamTap(view, { stripUsageChunk: false }), stream, [])
  const cut = feed(
    protocol.makeStreamTap(view, { stripUsageChunk: false }),
    stream,
    everyByte(stream),
  )
  expect(Buffer.concat([cut.pass, cut.final]).equals(stream)).toBe(true)
  expect(usedBy(view, cut.report)).toEqual(usedBy(view, whole.report))
  return { ...whole, used: usedBy(view, whole.report) }
}

const WRONG: [Protocol, unknown, RegExp][] = [
  [openaiImages, [], /JSON object/],
  [openaiImages, { prompt: 'x' }, /'model'/],
  [openaiImages, { model: 'm' }, /'prompt'/],
  [openaiImages, { model: 'm', prompt: 'x', n: 11 }, /'n'/],
  [openaiImages, { model: 'm', prompt: 'x', N: 9 }, /'n' in lower case/],
  [openaiImages, { model: 'm', prompt: 'x', partial_images: 4 }, /'partial_images'/],
  [openaiSpeech, { model: 'm' }, /'input'/],
  [openaiSpeech, { model: 'm', input: 'x', speed: 0.01 }, /'speed'/],
  [openaiTranscriptions, { model: 'm' }, /multipart/],
  [openaiTranslations, { model: 'm' }, /multipart/],
]
it.each(WRONG)('is refused in words, %#', (protocol, body, message) => {
  const refusal = protocol.readBytes(bytes(body))
  expect(refusal).toMatchObject({ ok: false, code: 'invalid_request' })
  if (!refusal.ok) expect(refusal.message).toMatch(message)
})

const FILE = Buffer.alloc(4_000)
const WRONG_FORMS: [Protocol, Fields, RegExp][] = [
  [openaiImageEdits, { model: 'm', prompt: 'x' }, /'image'/],
  [openaiImageEdits, { model: 'm', prompt: 'x', image: FILE, n: '0' }, /'n'/],
  [openaiImageEdits, { model: 'm', prompt: 'x', image: FILE, user: FILE }, /'user'/],
  [openaiImageEdits, { model: FILE, prompt: 'x', image: FILE }, /'model'/],
  [openaiTranscriptions, { model: 'm', stream: 'true' }, /'file'/],
  [openaiTranscriptions, { model: 'm', file: 'text' }, /'file'/],
  [openaiTranscriptions, { model: 'm', file: FILE, other: FILE }, /'file'/],
  [openaiTranscriptions, { model: 'm', file: FILE, stream: 'perhaps' }, /'stream'/],
]
it.each(WRONG_FORMS)('is refused in words as a form, %#', async (protocol, fields, message) => {
  const refusal = await readAs(protocol, fields, listening(7))
  expect(refusal).toMatchObject({ ok: false, code: 'invalid_request' })
  if (refusal?.ok === false) expect(refusal.message).toMatch(message)
})

describe('images are bounded by', () => {
  const asked = (more: object = {}, model = 'gpt-image-1') =>
    viewOf(openaiImages, { model, prompt: 'an otter', ...more })
  const tokens = (more: object, model?: string) => asked(more, model).outputTokensLimit ?? 0

  it('how many there are, how large and how fine', () => {
    expect(asked({ n: 4 })).toMatchObject({ choices: 4, unitsMax: { images: 4 } })
    const size = '1024x1024'
    expect(tokens({ size, quality: 'low' })).toBe(272 + 1_024)
    expect(tokens({ size, quality: 'medium' })).toBe(1_056 + 1_024)
    expect(tokens({ size, quality: 'high' })).toBe(4_160 + 1_024)
    expect(tokens({ size: '1536x1024', quality: 'high' })).toBe(6_240 + 1_024)
    expect(tokens({ size: '3840x2160', quality: 'high' })).toBeGreaterThan(32_000)
    expect(tokens({ size, quality: 'low', partial_images: 3 })).toBe(272 + 300 + 1_024)
  })
  it('the dearest there is where they name nothing, or what nobody knows', () => {
    expect(tokens({})).toBe(6_240 + 1_024)
    expect(tokens({ size: 'auto', quality: 'auto' })).toBe(6_240 + 1_024)
    expect(tokens({}, 'gpt-image-2')).toBeGreaterThan(14_000)
    expect(tokens({ size: '1024x1024', quality: 'ultra' })).toBe(4 * 4_160 + 1_024)
    expect(asked({ output_format: 'svg' }).unbounded).toEqual(['svg_output'])
  })
  it('the images that come with them', async () => {
    const view = await viewOfForm(openaiImageEdits, {
      model: 'gpt-image-1',
      prompt: 'x',
      image: FILE,
    })
    expect(view.inputTokensMax).toBeGreaterThan(6_240)
    const image_url = `data:image/png;base64,${FILE.toString('base64')}`
    const body = { model: 'gpt-image-1', prompt: 'x', images: [{ image_url }] }
    expect(viewOf(openaiImageEdits, body)).toMatchObject({ unbounded: [] })
    const far = viewOf(openaiImageEdits, { ...body, images: [{ image_url: 'https://a/b.png' }] })
    expect(far.unbounded).toEqual(['media_by_url'])
  })
})

describe('images are charged', () => {
  const USAGE = {
    total_tokens: 100,
    input_tokens: 50,
    output_tokens: 50,
    input_tokens_details: { text_tokens: 10, image_tokens: 40 },
  }
  const BUCKETS = { input_tokens: 10, input_image_tokens: 40, output_tokens: 50 }
  const asked = (more: object = {}) =>
    viewOf(openaiImages, { model: 'gpt-image-1', prompt: 'an otter', ...more })

  it('as reported, with their number', () => {
    const data = [{ b64_json: 'a' }, { b64_json: 'b' }]
    expect(json(openaiImages, asked({ n: 2 }), { created: 1, data, usage: USAGE })).toEqual({
      usage: { ...BUCKETS, images: 2 },
      estimated: false,
    })
  })
  it('by the image where the model has no tokens', () => {
    const view = viewOf(openaiImages, { model: 'dall-e-3', prompt: 'x', n: 3 })
    const two = { created: 1, data: [{ url: 'a' }, { url: 'b' }] }
    expect(json(openaiImages, view, two)).toEqual({ usage: { images: 2 }, estimated: false })
    const broken = usedBy(view, openaiImages.meterAnswer(Buffer.from('{"data":[')))
    expect(broken).toEqual({ usage: { images: 3 }, estimated: true })
  })
  it('by an estimate where a model that has tokens reports none', () => {
    const size = '1024x1024'
    const view = asked({ size, quality: 'low' })
    expect(json(openaiImages, view, { data: [{ b64_json: 'a' }] })).toEqual({
      usage: { input_tokens: 2, output_tokens: 272, images: 1 },
      estimated: true,
    })
  })
  it('by the end of an answer that is too large to be read', () => {
    const tail = Buffer.from(`…"}],"usage":${JSON.stringify(USAGE)}}`)
    const report = openaiImages.meterTail?.(tail, tail) ?? null
    if (report === null) throw new Error('the end tells nothing')
    const expected = { usage: { ...BUCKETS, images: 3 }, estimated: false }
    expect(usedBy(asked({ n: 3 }), report)).toEqual(expected)
  })
  it('with the tokens of the model that wrote an SVG', () => {
    const svg_usage = { model: 'gpt-5.6', input_tokens: 7, output_tokens: 9, reasoning_tokens: 3 }
    const answer = { data: [{}], usage: USAGE, svg_usage }
    expect(json(openaiImages, asked(), answer)?.usage.iterations).toEqual([
      { type: 'svg', model: 'gpt-5.6', usage: { input_tokens: 7, output_tokens: 9 } },
    ])
  })

  const partial = {
    type: 'image_generation.partial_image',
    b64_json: 'AAAA',
    partial_image_index: 0,
  }
  const whole = { type: 'image_generation.completed', b64_json: 'AAAA', usage: USAGE }
  it('as a stream reports them; the last image waits', () => {
    const seen = streamed(openaiImages, asked({ stream: true }), events(partial, whole))
    expect(seen.used).toEqual({ usage: { ...BUCKETS, images: 1 }, estimated: false })
    expect(seen.pass.toString()).toContain('partial_image')
    expect(seen.pass.toString()).not.toContain('completed')
    const edit = { ...whole, type: 'image_edit.completed' }
    const edited = streamed(openaiImageEdits, asked({ stream: true }), events(edit))
    expect(edited.used).toEqual(seen.used)
  })
  it('in full where their stream is cut while one is being made', () => {
    const view = asked({ stream: true, size: '1024x1024', quality: 'low' })
    const tap = openaiImages.makeStreamTap(view, { stripUsageChunk: false })
    tap.push(events(partial))
    expect(usedBy(view, tap.report())).toEqual({
      usage: { input_tokens: 2, output_tokens: 272, images: 1 },
      estimated: true,
    })
  })
  it('without it where the provider says that it failed', () => {
    const error = { type: 'error', error: { code: 'moderation_blocked' } }
    const { used } = streamed(openaiImages, asked({ stream: true }), events(partial, error))
    expect(used).toEqual({
      usage: { input_tokens: 2, output_tokens: 0, images: 0 },
      estimated: true,
    })
  })
})

describe('speech is charged', () => {
  it('by the characters to be spoken, which are not bytes', () => {
    const view = viewOf(openaiSpeech, { model: 'tts-1', input: 'Grüezi 🌞', voice: 'ash' })
    expect(view.unitsMax).toEqual({ characters: 8 })
    const report = openaiSpeech.meterAnswer(Buffer.from([1, 2, 3]))
    expect(usedBy(view, report)).toEqual({ usage: { characters: 8 }, estimated: false })
  })
  it('by the tokens that its events report', () => {
    const body = { model: 'gpt-4o-mini-tts', input: 'hello', stream_format: 'sse', speed: 0.5 }
    const view = viewOf(openaiSpeech, body)
    expect(view).toMatchObject({ stream: true, outputTokensLimit: 20 })
    const usage = { input_tokens: 14, output_tokens: 101, total_tokens: 115 }
    const done = { type: 'speech.audio.done', usage }
    const delta = { type: 'speech.audio.delta', audio: 'AAAA' }
    expect(streamed(openaiSpeech, view, events(delta, done)).used).toEqual({
      usage: { input_tokens: 14, output_tokens: 101, output_audio_tokens: 101 },
      estimated: false,
    })
    expect(streamed(openaiSpeech, view, events(delta)).used).toEqual({
      usage: { characters: 5 },
      estimated: true,
    })
  })
})

describe('a transcript is charged', () => {
  const heard = (model: string, seconds: number | null, more: Fields = {}) =>
    viewOfForm(openaiTranscriptions, { model, file: FILE, ...more }, seconds)

  it('by the duration or the tokens it reports', async () => {
    const view = await heard('whisper-1', 6.5)
    const usage = { type: 'duration', seconds: 7 }
    expect(json(openaiTranscriptions, view, { text: 'x', usage })).toEqual({
      usage: { seconds: 7 },
      estimated: false,
    })
    const input_token_details = { text_tokens: 1, audio_tokens: 14 }
    const tokens = { type: 'tokens', input_tokens: 15, input_token_details, output_tokens: 45 }
    expect(json(openaiTranscriptions, view, { text: 'x', usage: tokens })).toEqual({
      usage: { input_tokens: 1, input_audio_tokens: 14, output_tokens: 45 },
      estimated: false,
    })
  })
  it('by its file where the answer is subtitles', async () => {
    const view = await heard('whisper-1', 6.5)
    const used = usedBy(
      view,
      openaiTranscriptions.meterAnswer(Buffer.from('1\n00:00:00,000 --> …')),
    )
    expect(used).toEqual({ usage: { seconds: 6.5 }, estimated: false })
    const subtitles = [
      '1\n00:00:00,000 --> 00:00:59,250\nOtters\n\n2\n00:00:59,250 --> 01:02:03,500\nsleep\n',
      'WEBVTT\n\n00:00.000 --> 01:02:03.500\nOtters say 09:09:09.000 --> 10:10:10.000\n',
    ]
    for (const text of subtitles) {
      const last = usedBy(view, openaiTranscriptions.meterAnswer(Buffer.from(text)))
      expect(last).toEqual({ usage: { seconds: 3_723.5 }, estimated: false })
    }
  })
  it('not at all where nobody has the time to read the file: it is refused, to be tried again', async () => {
    const busy = { seconds: () => Promise.resolve({ kind: 'not_read' as const }) }
    const fields = { model: 'whisper-1', file: FILE }
    expect(await readAs(openaiTranscriptions, fields, busy)).toMatchObject({
      ...{ ok: false, code: 'gateway_unavailable' },
    })
  })
  it('by its size, as an estimate, where the file cannot be read', async () => {
    const view = await heard('whisper-1', null)
    expect(view.unitsMax).toEqual({ seconds: 8 })
    const used = usedBy(view, openaiTranscriptions.meterAnswer(Buffer.from('text')))
    expect(used).toEqual({ usage: { seconds: 2 }, estimated: true })
  })
  it('by tokens as an estimate where a model that has them reports none', async () => {
    const view = await heard('gpt-4o-transcribe', 10, { prompt: 'Bern' })
    expect(view).toMatchObject({ inputTokensMax: 174, outputTokensLimit: 336 })
    const used = json(openaiTranscriptions, view, { text: 'four words of text' })
    expect(used).toEqual({
      usage: { input_tokens: 1, input_audio_tokens: 170, output_tokens: 5 },
      estimated: true,
    })
  })
  it('by the last event of its stream, by what was said where that is missing', async () => {
    const view = await heard('gpt-4o-transcribe', 10, { stream: 'true' })
    expect(view.stream).toBe(true)
    const delta = { type: 'transcript.text.delta', delta: 'eight chars in all' }
    const usage = { type: 'tokens', input_tokens: 14, output_tokens: 45 }
    const done = { type: 'transcript.text.done', text: 'x', usage }
    const expected = { usage: { input_tokens: 14, output_tokens: 45 }, estimated: false }
    expect(streamed(openaiTranscriptions, view, events(delta, done)).used).toEqual(expected)
    expect(streamed(openaiTranscriptions, view, events(delta)).used).toEqual({
      usage: { input_tokens: 0, input_audio_tokens: 170, output_tokens: 5 },
      estimated: true,
    })
  })
})

it('a translation is charged by its file, or the duration its answer tells', async () => {
  const view = await viewOfForm(openaiTranslations, { model: 'whisper-1', file: FILE }, 6.5)
  const plain = json(openaiTranslations, view, { text: 'hello' })
  expect(plain).toEqual({ usage: { seconds: 6.5 }, estimated: false })
  const verbose = json(openaiTranslations, view, { text: 'hello', duration: 6.47 })
  expect(verbose).toEqual({ usage: { seconds: 6.47 }, estimated: false })
})
