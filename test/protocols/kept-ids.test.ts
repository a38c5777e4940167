import { describe, expect, it } from 'vitest'
import { JSON_NODES_MAX, JSON_VALUES_MAX } from '../../src/kernel/limits/requests.ts'
import { anthropicMessages } from '../../src/protocols/anthropic-messages.ts'
import { openaiChat } from '../../src/protocols/openai-chat.ts'
import { openaiEmbeddings } from '../../src/protocols/openai-embeddings.ts'
import { openaiResponses } from '../../src/protocols/openai-responses.ts'
import type { Protocol, RequestView } from '../../src/protocols/protocol.ts'

function viewOf(protocol: Protocol, more: object): RequestView {
  const body = { model: 'm', max_tokens: 9, messages: [{ role: 'user', content: 'x' }], ...more }
  const view = protocol.readBytes(Buffer.from(JSON.stringify(body)))
  if (!view.ok) throw new Error(view.message)
  return view
}
const responses = (more: object) => viewOf(openaiResponses, { input: 'x', ...more })
const tool = (one: object) => responses({ tools: [one] })

describe('what the provider keeps under an id', () => {
  it('is gone on from where an image is named without its content', () => {
    const image = { type: 'image_generation_call', id: 'ig_1' }
    expect(responses({ input: [image] }).refersTo).toEqual(['ig_1'])
    expect(responses({ input: [{ ...image, result: null }] }).refersTo).toEqual(['ig_1'])
    expect(responses({ input: [{ ...image, result: 'AAAA' }] }).refersTo).toBeUndefined()
  })

  it.each([
    tool({ type: 'code_interpreter', container: 'cntr_1' }),
    tool({ type: 'code_interpreter', container: { type: 'auto', file_ids: ['file-1'] } }),
    tool({ type: 'file_search', vector_store_ids: ['vs_1'] }),
    tool({ type: 'image_generation', input_image_mask: { file_id: 'file-1' } }),
    tool({ type: 'shell', environment: { type: 'container_reference', container_id: 'c' } }),
    tool({ type: 'namespace', tools: [{ type: 'code_interpreter', container: 'cntr_1' }] }),
    responses({ input: [{ type: 'code_interpreter_call', id: 'ci', container_id: 'cntr_1' }] }),
    viewOf(anthropicMessages, { container: 'container_1' }),
    viewOf(anthropicMessages, { container: { id: 'container_1' } }),
    viewOf(anthropicMessages, { container: { skills: [{ type: 'custom', skill_id: 's' }] } }),
    viewOf(openaiChat, { messages: [{ role: 'assistant', audio: { id: 'audio_1' } }] }),
  ])('is media by id wherever it is named (%#)', ({ unbounded }) => {
    expect(unbounded).toContain('media_by_id')
  })

  const parameters = { properties: { file_id: {}, container: 'c', vector_store_ids: ['x'] } }
  it.each([
    tool({ type: 'code_interpreter', container: { type: 'auto' } }),
    tool({ type: 'code_interpreter', container: { type: 'auto', file_ids: [] } }),
    tool({ type: 'function', name: 'f', parameters }),
    tool({ type: 'namespace', tools: [{ type: 'function', name: 'f', parameters }] }),
    viewOf(anthropicMessages, { container: null }),
    viewOf(anthropicMessages, { container: { skills: [{ type: 'anthropic', skill_id: 'pdf' }] } }),
  ])('is not what only looks like it (%#)', ({ unbounded }) => {
    expect(unbounded).not.toContain('media_by_id')
  })
})

describe('a body with more in it than any request needs', () => {
  const refused = { ok: false, code: 'request_too_large' }
  const read = (protocol: Protocol, text: string) => protocol.readBytes(Buffer.from(text))
  const PROTOCOLS = [openaiResponses, openaiChat, anthropicMessages, openaiEmbeddings]

  it.each([
    ['objects', `${'{},'.repeat(JSON_NODES_MAX)}{}`],
    ['members', `{${'"a":1,'.repeat(JSON_NODES_MAX)}"a":1}`],
    ['numbers', `${'1,'.repeat(JSON_VALUES_MAX)}1`],
    ['nothing valid', ','.repeat(JSON_VALUES_MAX + 1)],
  ])('is refused before it is parsed: %s', (_what, inner) => {
    for (const protocol of PROTOCOLS) {
      expect(read(protocol, `{"model":"m","input":[${inner}]}`)).toMatchObject(refused)
    }
  })

  it('is not a large one of few values, or all token ids that embeddings take', () => {
    const text = `{"model":"m","input":"${'{},[1,2]:'.repeat(200_000)}"}`
    expect(read(openaiEmbeddings, text).ok).toBe(true)
    const ids = JSON.stringify(
      Array.from({ length: 100 }, () => Array.from({ length: 3_000 }, () => 1e5)),
    )
    expect(read(openaiEmbeddings, `{"model":"m","input":${ids}}`).ok).toBe(true)
  })
})
