import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { isStreamType } from '../../src/gateway/answers/stream-type.ts'
import type { MeterReport, Protocol } from '../../src/protocols/protocol.ts'
import { PROTOCOLS, protocolOfPath } from '../../src/protocols/registry.ts'
import { everyByte, feed, randomCuts } from './support.ts'

const Counts = z.record(z.string(), z.number())
const Cassette = z.object({
  protocol: z.string(),
  request: z.object({
    path: z.string(),
    body: z.unknown(),
    request_synthesised: z.boolean().optional(),
  }),
  response: z.object({
    status: z.number(),
    headers: z.record(z.string(), z.string()),
    body: z.string(),
  }),
  expected: z.object({
    complete: z.boolean(),
    model: z.string().nullable(),
    service_tier: z.string().nullable(),
    usage: Counts.nullable(),
    alternatives: z.array(Counts).optional(),
    iterations: z
      .array(z.object({ type: z.string(), model: z.string().nullable(), usage: Counts }))
      .optional(),
    served_by: z.string().optional(),
  }),
})
type Recording = Omit<z.infer<typeof Cassette>, 'protocol'>

const directory = process.env.FAREBOX_CASSETTES
const names =
  directory === undefined ? [] : readdirSync(directory).filter((name) => name.endsWith('.json'))
const cassettes = names
  .map((name) => ({
    name,
    cassette: Cassette.safeParse(JSON.parse(readFileSync(join(directory ?? '', name), 'utf8'))),
  }))
  .flatMap(({ name, cassette }) => {
    const protocol = cassette.success ? protocolFor(cassette.data) : null
    return protocol === null || !cassette.success ? [] : [{ ...cassette.data, name, protocol }]
  })
console.log(
  directory === undefined
    ? 'cassettes: 0, FAREBOX_CASSETTES is not set'
    : `cassettes: ${cassettes.length} of ${names.length} speak a protocol metered here`,
)

/** Recorded paths have prefixes of their own; a Gemini path names model and method. */
function protocolFor({ protocol, request }: z.infer<typeof Cassette>): Protocol | null {
  const exact = PROTOCOLS.find(
    (each) => each.name === protocol || (protocol === 'openai-audio' && each.path === request.path),
  )
  const method = /\/models\/.*$/.exec(request.path)?.[0]
  return exact ?? (method === undefined ? null : protocolOfPath(`/v1beta${method}`))
}

const isOwnType = ({ response }: Recording, protocol: Protocol): boolean =>
  isStreamType(protocol, response.headers['content-type'])

const isStream = (recording: Recording, protocol: Protocol): boolean =>
  recording.response.headers['content-type']?.startsWith('text/event-stream') === true ||
  isOwnType(recording, protocol)

function expectReport(report: MeterReport, { expected }: Recording): void {
  expect(report.model).toBe(expected.model)
  expect(report.serviceTier).toBe(expected.service_tier)
  expect(report.complete).toBe(expected.complete)
  const { iterations, ...usage } = report.usage ?? {}
  if (expected.usage === null) expect(report.usage).toBeNull()
  else {
    expect(report.usage).not.toBeNull()
    expect([expected.usage, ...(expected.alternatives ?? [])]).toContainEqual(usage)
  }
  expect(iterations ?? []).toEqual(expected.iterations ?? [])
  if (expected.served_by !== undefined) expect(report.servedBy).toBe(expected.served_by)
}

/** The stream without the usage chunk, made from its text by other means than the tap's. */
function withoutUsageChunk(text: string): string {
  return text
    .split(/(?<=\n\n)/)
    .filter((block) => {
      const data = /^data: (\{.*\})$/m.exec(block)?.[1]
      if (data === undefined) return true
      const chunk = z
        .object({ choices: z.array(z.unknown()), usage: z.object({}).nullish() })
        .loose()
        .safeParse(JSON.parse(data))
      if (!chunk.success || chunk.data.choices.length > 0 || !chunk.data.usage) return true
      return 'moderation' in chunk.data || 'prompt_filter_results' in chunk.data
    })
    .join('')
}

function viewOf(protocol: Protocol): Parameters<Protocol['makeStreamTap']>[0] {
  const content = { contents: [{ parts: [{ text: 'x' }] }] }
  const view = protocol.read(
    protocol.family === 'gemini'
      ? content
      : {
          model: 'm',
          max_tokens: 1,
          stream: true,
          messages: [{ role: 'user', content: 'x' }],
          ...(protocol.name === 'openai-completions' ? { prompt: 'x' } : { input: 'x' }),
        },
    80,
  )
  if (!view.ok) throw new Error(view.message)
  return view
}

describe.skipIf(directory === undefined)('recorded answers', () => {
  it('are there', () => {
    expect(cassettes.length).toBeGreaterThan(20)
  })

  for (const cassette of cassettes) {
    const { name, protocol, response } = cassette
    const bytes = Buffer.from(response.body)
    const cutSets = {
      whole: [],
      'byte by byte': everyByte(bytes),
      'in random pieces': randomCuts(bytes, 1, 7),
      'in larger random pieces': randomCuts(bytes, 2, 700),
    }
    if (!isStream(cassette, protocol)) {
      it(`${name}: whole answer`, () => {
        expectReport(protocol.meterAnswer(bytes), cassette)
      })
      continue
    }
    for (const [how, cuts] of Object.entries(cutSets)) {
      it(`${name}: ${how}`, () => {
        const kept = feed(
          protocol.makeStreamTap(viewOf(protocol), {
            stripUsageChunk: false,
            isOwnType: isOwnType(cassette, protocol),
          }),
          bytes,
          cuts,
        )
        expect(Buffer.concat([kept.pass, kept.final]).equals(bytes)).toBe(true)
        expect(kept.final.length > 0).toBe(cassette.expected.complete)
        expectReport(kept.report, cassette)
        const stripped = feed(
          protocol.makeStreamTap(viewOf(protocol), {
            stripUsageChunk: true,
            isOwnType: isOwnType(cassette, protocol),
          }),
          bytes,
          cuts,
        )
        const out = Buffer.concat([stripped.pass, stripped.final]).toString()
        expect(out).toBe(
          /chat|completions/.test(protocol.name) ? withoutUsageChunk(response.body) : response.body,
        )
        expectReport(stripped.report, cassette)
      })
    }
  }
})

describe.skipIf(directory === undefined)('recorded requests', () => {
  for (const { name, protocol, request, expected } of cassettes) {
    if (request.body === null) continue // a form, which was not recorded
    it(`${name}: is read, and bounds what was billed where nothing is unbounded`, () => {
      const raw = Buffer.from(JSON.stringify(request.body))
      const view = protocol.readBytes(raw)
      if (!view.ok) throw new Error(view.message)
      expect(view.model).not.toBe('')
      const synthesised = request.request_synthesised === true || raw.includes('[trimmed]')
      if (view.unbounded.length > 0 || synthesised || expected.usage === null) return
      const input = Object.entries(expected.usage).filter(
        ([bucket]) => !bucket.startsWith('output_') && bucket !== 'web_search_requests',
      )
      const billed = input.reduce((sum, [, count]) => sum + count, 0)
      expect(view.inputTokensMax).toBeGreaterThanOrEqual(billed)
    })
  }
})
