import { describe, expect, it } from 'vitest'
import { openaiResponses } from '../../src/protocols/openai-responses.ts'
import type { RequestView } from '../../src/protocols/protocol.ts'
import { everyByte, feed, inputTextOf, randomCuts } from './support.ts'

const body = (more: Record<string, unknown>): Buffer =>
  Buffer.from(JSON.stringify({ model: 'm', input: 'hi', ...more }))

function viewOf(more: Record<string, unknown>): RequestView {
  const view = openaiResponses.readBytes(body(more))
  if (!view.ok) throw new Error(view.message)
  return view
}

const tap = () => openaiResponses.makeStreamTap(viewOf({}), { stripUsageChunk: true })
const event = (type: string, more: Record<string, unknown> = {}): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`
const ended = (status: string, more: Record<string, unknown> = {}): string =>
  event(`response.${status}`, { response: { id: 'resp_1', model: 'm-1', status, ...more } })

const USAGE = {
  input_tokens: 100,
  input_tokens_details: { cached_tokens: 60, cache_write_tokens: 10 },
  output_tokens: 50,
  output_tokens_details: { reasoning_tokens: 20 },
}
const BUCKETS = {
  input_tokens: 30,
  cache_read_tokens: 60,
  cache_write_tokens: 10,
  output_tokens: 50,
  output_reasoning_tokens: 20,
}
const search = (type: string) => ({ type: 'web_search_call', action: { type } })

describe('a body of /v1/responses is refused in words when', () => {
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ model: '' }, /'model'/],
    [{ input: null }, /'input' is required/],
    [{ input: 7 }, /'input' must be an array/],
    [{ input: ['hi'] }, /'input\[0\]' must be an object/],
    [{ tools: {} }, /'tools' must be an array/],
    [{ tools: [1] }, /'tools\[0\]' must be an object/],
    [{ max_output_tokens: 0 }, /'max_output_tokens'/],
    [{ max_output_tokens: '9' }, /'max_output_tokens'/],
    [{ max_tool_calls: -1 }, /'max_tool_calls'/],
    [{ stream: 'yes' }, /'stream'/],
    [{ background: 1 }, /'background'/],
    [{ store: 0 }, /'store'/],
    [{ previous_response_id: 7 }, /'previous_response_id'/],
    [{ conversation: 7 }, /'conversation'/],
    [{ prompt: 'pmpt_1' }, /'prompt'/],
    [{ MAX_OUTPUT_TOKENS: 1 }, /Write 'max_output_tokens' in lower case/],
  ]
  it.each(wrong)('it says %j', (more, message) => {
    const refusal = openaiResponses.readBytes(body(more))
    expect(refusal).toMatchObject({ ok: false, code: 'invalid_request' })
    if (!refusal.ok) expect(refusal.message).toMatch(message)
  })

  it('it names a field twice', () => {
    for (const twice of ['"max_output_tokens":1', '"background":false', '"tools":[]']) {
      const raw = `{"model":"m","input":"hi",${twice},${twice}}`
      expect(openaiResponses.readBytes(Buffer.from(raw))).toMatchObject({ ok: false })
    }
  })
})

describe('a body of /v1/responses is bounded by', () => {
  it('its bytes and its own limit', () => {
    const view = viewOf({ max_output_tokens: 77, service_tier: 'flex', stream: true })
    const bytes = body({ max_output_tokens: 77, service_tier: 'flex', stream: true }).length
    expect(view).toMatchObject({
      inputTokensMax: bytes,
      outputTokensLimit: 77,
      choices: 1,
      stream: true,
      serviceTier: 'flex',
      wantsUsageChunk: true,
      unbounded: [],
      webSearchesMax: 0,
    })
    expect(viewOf({}).outputTokensLimit).toBeNull()
  })

  it('an image’s dimensions, not its bytes', () => {
    const head = Buffer.from('89504e470d0a1a0a0000000d494844520000040000000400', 'hex')
    const data = Buffer.concat([head, Buffer.alloc(300_000)]).toString('base64')
    const image_url = `data:image/png;base64,${data}`
    const content = [{ type: 'input_image', image_url }]
    const inMessage = viewOf({ model: 'gpt-4o', input: [{ role: 'user', content }] })
    const shot = { type: 'computer_screenshot', image_url }
    const inOutput = viewOf({
      model: 'gpt-4o',
      input: [{ type: 'computer_call_output', call_id: 'c', output: shot }],
    })
    const painted = viewOf({
      model: 'gpt-4o',
      input: [{ type: 'image_generation_call', id: 'ig_1', result: data }],
    })
    for (const view of [inMessage, inOutput, painted]) {
      expect(view.unbounded).toEqual([])
      expect(view.inputTokensMax).toBeGreaterThan(1_000)
      expect(view.inputTokensMax).toBeLessThan(10_000)
    }
  })

  it('the searches it allows', () => {
    const tools = [{ type: 'web_search_preview' }]
    expect(viewOf({ tools }).webSearchesMax).toBe(10)
    expect(viewOf({ tools, max_tool_calls: 3 }).webSearchesMax).toBe(3)
  })
})

describe('a body of /v1/responses is unbounded by', () => {
  const content = (part: Record<string, unknown>) => ({
    input: [{ role: 'user', content: [part] }],
  })
  const rows: [string[], Record<string, unknown>][] = [
    [['web_search'], { tools: [{ type: 'web_search_2025_08_26' }] }],
    [['mcp_servers'], { tools: [{ type: 'mcp', server_url: 'https://x.y' }] }],
    [['hosted_tools'], { tools: [{ type: 'file_search', vector_store_ids: [] }] }],
    [['hosted_tools'], { tools: [{ type: 'tool_of_tomorrow' }] }],
    [['hosted_tools'], { tools: [{}] }],
    [['hosted_tools'], { tools: [{ type: 'shell', environment: { type: 'container_auto' } }] }],
    [['hosted_tools'], { tools: [{ type: 'namespace', tools: [{ type: 'file_search' }] }] }],
    [['hosted_tools'], { input: [{ type: 'additional_tools', tools: [{ type: 'file_search' }] }] }],
    [['previous_response'], { previous_response_id: 'resp_1' }],
    [['conversation'], { conversation: { id: 'conv_1' } }],
    [['stored_prompt'], { prompt: { id: 'pmpt_1' } }],
    [
      ['media_by_id', 'stored_prompt'],
      { prompt: { id: 'pmpt_1', variables: { a: { type: 'input_file', file_id: 'f' } } } },
    ],
    [['stored_items'], { input: [{ type: 'item_reference', id: 'rs_1' }] }],
    [['stored_items'], { input: [{ type: 'image_generation_call', id: 'ig_1', result: null }] }],
    [['compaction'], { context_management: [{ type: 'compaction', compact_threshold: 9 }] }],
    [['media_by_url'], content({ type: 'input_image', image_url: 'https://x.y/z.png' })],
    [['media_by_url'], content({ type: 'input_file', file_url: 'https://x.y/z.pdf' })],
    [['media_by_id'], content({ type: 'input_image', file_id: 'file-1' })],
    [['media_by_id'], content({ type: 'input_file', file_id: 'file-1' })],
    [['documents'], content({ type: 'input_file', file_data: 'data:application/pdf;base64,AA' })],
    [['unknown_content'], content({ type: 'input_smell', data: 'x' })],
    [['unknown_content'], { input: [{ type: 'dream' }] }],
  ]
  it.each(rows)('%j', (reasons, more) => {
    expect([...viewOf(more).unbounded].sort()).toEqual(reasons)
  })

  it('nothing that the client runs itself', () => {
    const tools = [
      { type: 'function', name: 'f' },
      { type: 'custom', name: 'c' },
      { type: 'local_shell' },
      { type: 'apply_patch' },
      { type: 'shell', environment: { type: 'local' } },
      { type: 'computer_use_preview', display_width: 1, display_height: 1 },
      { type: 'namespace', name: 'n', tools: [{ type: 'function', name: 'g' }] },
    ]
    const input = [
      { role: 'user', content: 'hi' },
      { type: 'reasoning', summary: [{ type: 'summary_text', text: 's' }], encrypted_content: 'e' },
      { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' },
      { type: 'function_call_output', call_id: 'c', output: '{"a":1}' },
      { type: 'function_call_output', call_id: 'c', output: [{ type: 'input_text', text: 't' }] },
      { type: 'shell_call_output', call_id: 'c', output: [{ stdout: 'x', outcome: {} }] },
    ]
    const view = viewOf({ tools, input, instructions: 'Be brief.', text: { format: {} } })
    expect(view.unbounded).toEqual([])
    const text = inputTextOf(view).join(' ')
    for (const said of ['hi', 'Be brief.', '{"a":1}', 't']) expect(text).toContain(said)
  })
})

it('a limit is written in, and nothing else changes', () => {
  const raw = Buffer.from('{ "model": "m",  "input": "hi" }')
  const inject = { outputTokensLimit: 9, outputLimitField: 'max_tokens', includeUsage: true }
  const rewritten = openaiResponses.rewrite(raw, viewOf({}), inject)
  expect(rewritten?.toString()).toBe('{ "model": "m",  "input": "hi","max_output_tokens":9 }')
  const none = { ...inject, outputTokensLimit: null }
  expect(openaiResponses.rewrite(raw, viewOf({}), none)).toBeNull()
})

describe('the meter of responses reads', () => {
  const answer = (more: Record<string, unknown>) =>
    openaiResponses.meterAnswer(Buffer.from(JSON.stringify({ model: 'm-1', ...more })))

  it('disjoint buckets', () => {
    expect(answer({ usage: USAGE, service_tier: 'flex' })).toMatchObject({
      usage: BUCKETS,
      model: 'm-1',
      serviceTier: 'flex',
      complete: true,
      failed: false,
      inputReported: true,
      outputReported: true,
    })
    expect(answer({ usage: { input_tokens: 0, output_tokens: 0 } }).usage).toEqual({})
    expect(answer({ usage: null, status: 'queued' }).usage).toBeNull()
    expect(answer({ usage: { input_tokens: 1.5, output_tokens: 3 } })).toMatchObject({
      usage: { output_tokens: 3 },
      inputReported: false,
    })
    expect(answer({ status: 'failed', usage: null }).failed).toBe(true)
  })

  it('what the tools used, from tool_usage before the items', () => {
    const output = [search('search'), search('open_page'), search('search')]
    const counted = answer({ usage: USAGE, output })
    expect(counted.usage).toEqual({ ...BUCKETS, web_search_requests: 2 })
    const told = answer({ usage: USAGE, output, tool_usage: { web_search: { num_requests: 1 } } })
    expect(told.usage).toEqual({ ...BUCKETS, web_search_requests: 1 })
  })

  it('the image model’s own tokens at its own price', () => {
    const image_gen = {
      input_tokens: 50,
      input_tokens_details: { image_tokens: 20, text_tokens: 30 },
      output_tokens: 272,
    }
    const tools = [{ type: 'image_generation', model: 'gpt-image-1.5' }]
    const output = [{ type: 'image_generation_call', status: 'completed' }]
    const usage = { input_tokens: 30, input_image_tokens: 20, output_tokens: 272 }
    const iteration = { type: 'image_generation', model: 'gpt-image-1.5', usage }
    expect(answer({ usage: USAGE, output, tools, tool_usage: { image_gen } }).usage).toEqual({
      ...BUCKETS,
      iterations: [iteration],
    })
    expect(answer({ usage: USAGE, output }).usage).toEqual({ ...BUCKETS, images: 1 })
  })

  it('a stream’s terminal event, whatever the pieces and the line ends', () => {
    for (const status of ['completed', 'incomplete', 'failed', 'cancelled']) {
      const text =
        ended('created', { usage: null, service_tier: 'auto' }) +
        event('response.output_text.delta', { delta: 'Grüße 🜁' }) +
        event('response.function_call_arguments.delta', { delta: '{"q":1}' }) +
        ended(status, { usage: USAGE, service_tier: 'default' })
      for (const bytes of [Buffer.from(text), Buffer.from(text.replaceAll('\n', '\r\n'))]) {
        for (const cuts of [[], everyByte(bytes), randomCuts(bytes, 3, 40)]) {
          const { pass, final, report } = feed(tap(), bytes, cuts)
          expect(Buffer.concat([pass, final]).equals(bytes)).toBe(true)
          expect(final.toString()).toContain(`response.${status}`)
          expect(report).toMatchObject({
            usage: BUCKETS,
            serviceTier: 'default',
            complete: true,
            failed: status === 'failed',
          })
          expect(report.produced().text.join('')).toBe('Grüße 🜁{"q":1}')
        }
      }
    }
  })

  it('events without names, tools that only the stream shows, and an error', () => {
    const item = search('search')
    const stream =
      event('response.output_item.done', { item }) +
      event('response.output_item.done', { item }) +
      ended('completed', { usage: USAGE, output: [] })
    const bytes = Buffer.from(stream.replaceAll(/^event: .*\n/gm, ''))
    const { final, report } = feed(tap(), bytes, [])
    expect(final.length).toBeGreaterThan(0)
    expect(report.usage).toEqual({ ...BUCKETS, web_search_requests: 2 })
    const failed = feed(tap(), Buffer.from(event('error', { error: { message: 'x' } })), [])
    expect(failed.report).toMatchObject({ failed: true, complete: false, usage: null })
    expect(failed.final).toHaveLength(0)
  })

  it('our own error in mid-stream, also inside an open event', () => {
    const open = tap()
    open.push(Buffer.from('data: {"half'))
    open.push(openaiResponses.streamError('upstream_error', 'It broke off.'))
    expect(open.report().failed).toBe(true)
    expect(open.terminal).toBe(false)
  })
})

describe('what is too large to be kept is metered by its ends:', () => {
  const MB = 1024 * 1024
  const image = { id: 'ig_1', type: 'image_generation_call', status: 'completed' }
  const output = [{ ...image, result: 'A'.repeat(9 * MB) }]
  const whole = {
    ...{ id: 'resp_1', object: 'response', status: 'completed', model: 'm-1', output },
    ...{ service_tier: 'default', usage: USAGE, user: null, metadata: { usage: '{"usage":{}}' } },
  }

  it('the last event of a stream, which is its end', () => {
    const text =
      ended('created', { usage: null, service_tier: 'auto' }) +
      event('response.output_text.delta', { delta: 'Done.' }) +
      event('response.output_item.done', { item: output[0] }) +
      event('response.completed', { response: whole })
    for (const bytes of [Buffer.from(text), Buffer.from(text.replaceAll(/^event: .*\n/gm, ''))]) {
      for (const cuts of [[], randomCuts(bytes, 5, MB), [bytes.length - 1]]) {
        const { pass, final, report } = feed(tap(), bytes, cuts)
        expect(Buffer.concat([pass, final]).equals(bytes)).toBe(true)
        expect(final.subarray(-1).toString()).toBe('\n')
        expect(report).toMatchObject({
          usage: { ...BUCKETS, images: 1 },
          ...{ complete: true, failed: false, model: 'm-1', serviceTier: 'default' },
          storedIds: ['resp_1'],
        })
        expect(report.produced()).toEqual({ text: ['Done.'], beyond: 0 })
      }
    }
  })

  it('one that says nothing of its usage ends the stream all the same', () => {
    const text =
      event('response.output_text.delta', { delta: 'Done.' }) +
      event('response.failed', { response: { ...whole, status: 'failed', usage: null } })
    const { report, final } = feed(tap(), Buffer.from(text), [])
    expect(final.length).toBeGreaterThan(0)
    expect(report).toMatchObject({ usage: null, complete: true, failed: true })
    expect(report.produced()).toEqual({ text: ['Done.'], beyond: 0 })
    const delta = event('response.output_text.delta', { delta: 'x'.repeat(9 * MB) })
    const beyond = feed(tap(), Buffer.from(delta), []).report
    expect(beyond.complete).toBe(false)
    expect(beyond.produced().beyond).toBe(delta.length)
  })

  it('a whole answer, under its own id', () => {
    const bytes = Buffer.from(JSON.stringify(whole))
    const head = bytes.subarray(0, 65_536)
    expect(openaiResponses.meterTail?.(bytes.subarray(-32_768), head)).toMatchObject({
      ...{ usage: BUCKETS, storedIds: ['resp_1'], model: 'm-1', serviceTier: 'default' },
    })
    expect(openaiResponses.meterTail?.(bytes.subarray(-32_768, -1), head)).toBeNull()
  })
})
