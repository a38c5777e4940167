import { anthropicUsage, inputOf } from './anthropic-usage.ts'
import {
  arrayOr,
  countOr,
  isObject,
  mergeSaid,
  objectOr,
  parseJson,
  textOr,
  type JsonObject,
} from './json.ts'
import {
  countJson,
  makeOutputText,
  withUnread,
  type AddText,
  type OutputText,
} from './output-text.ts'
import type { MeterReport, StreamTap } from './protocol.ts'
import type { SseEvent, SseVerdict } from './sse-event.ts'
import { makeSseSplitter } from './sse.ts'

interface Facts {
  usage: JsonObject | null
  model: string | null
  /** A fallback that the content named before the usage did. */
  servedBy: string | null
  /** Output numbers are an event's that comes after all output. */
  outputFinal: boolean
  /** They are not message_start's placeholder. */
  outputSaid: boolean
  /** A delta was seen: a message_start that is repeated after it says nothing new. */
  deltaSeen: boolean
  failed: boolean
}

const newFacts = (): Facts => ({
  usage: null,
  model: null,
  servedBy: null,
  outputFinal: false,
  outputSaid: false,
  deltaSeen: false,
  failed: false,
})

/**
 * Overwrites when non-null, never adds: the numbers of a delta are cumulative. A new cache total
 * without its split leaves the old split, which is told apart later. Source: providers.md §1.
 */
function observeUsage(facts: Facts, reported: unknown): void {
  if (isObject(reported)) facts.usage = mergeSaid(facts.usage, reported)
}

/** Text of one content block or delta that the model produced; tool results are not output. */
function extractBlock(block: unknown, add: AddText): void {
  const { text, thinking, partial_json: partialJson, content, type, ...rest } = objectOr(block)
  add(text)
  add(thinking, 'reasoning')
  add(rest.signature, 'sealed')
  if (type === 'redacted_thinking') add(rest.data, 'sealed')
  add(partialJson)
  if (type === 'compaction_delta' || type === 'compaction') add(content)
}

function extractEvent(json: unknown, add: AddText): void {
  const { delta, content_block: block } = objectOr(json)
  extractBlock(delta ?? block, add)
  add(objectOr(block).name)
}

function extractAnswer(json: unknown, add: AddText): void {
  for (const block of arrayOr(objectOr(json).content)) {
    extractBlock(block, add)
    const { name, input } = objectOr(block)
    if (isObject(input)) {
      add(name)
      add(JSON.stringify(input))
    }
  }
}

/** Tier, speed and region each have their price; pricing reads them joined by '+'. */
function tierOf(usage: JsonObject): string | null {
  const parts = [textOr(usage.service_tier)]
  const speed = textOr(usage.speed)
  if (speed !== 'standard') parts.push(speed)
  if (usage.inference_geo === 'us') parts.push('inference_geo_us')
  const named = parts.filter((part) => part !== null)
  return named.length === 0 ? null : named.join('+')
}

function reportOf(facts: Facts, complete: boolean, text: OutputText): MeterReport {
  const reported = facts.usage ?? {}
  const hasInput = countOr(reported.input_tokens) !== null
  const hasOutput = countOr(reported.output_tokens) !== null
  const { usage, servedBy } = anthropicUsage(reported, facts.model)
  return {
    usage: hasInput || hasOutput ? usage : null,
    // Zeros before the end are those of a server that has not counted yet.
    inputReported: hasInput && (complete || facts.outputFinal || inputOf(usage) > 0),
    outputReported: hasOutput && (facts.outputFinal || (complete && facts.outputSaid)),
    // A delta's numbers are cumulative: true so far, though more may come.
    outputTokensLeast: facts.deltaSeen ? (countOr(reported.output_tokens) ?? 0) : 0,
    model: facts.model,
    servedBy: servedBy ?? facts.servedBy,
    serviceTier: tierOf(reported),
    complete,
    failed: facts.failed,
    produced: text.produced,
  }
}

/** Meters a whole answer of the Messages API; anything but a JSON object reports nothing. */
export function meterMessagesAnswer(body: Buffer): MeterReport {
  const facts = newFacts()
  const text = makeOutputText(extractAnswer)
  const answer = body.toString('utf8')
  const parsed = parseJson(answer)
  if (isObject(parsed)) {
    facts.model = textOr(parsed.model)
    facts.failed = parsed.type === 'error' || (parsed.error ?? null) !== null
    observeUsage(facts, parsed.usage)
    facts.outputSaid = true
    text.defer(answer)
  } else {
    text.skipped(body.length)
  }
  return reportOf(facts, true, text)
}

const isPlainContent = (type: string): boolean =>
  type === 'content_block_delta' || type === 'content_block_stop' || type === 'ping'

function observeEvent(facts: Facts, kind: string, event: JsonObject): void {
  switch (kind) {
    case 'message_start': {
      const message = objectOr(event.message)
      facts.model = textOr(message.model) ?? facts.model
      if (!facts.deltaSeen) observeUsage(facts, message.usage)
      break
    }
    case 'message_delta':
      facts.deltaSeen = true
      observeUsage(facts, event.usage)
      if (countOr(objectOr(event.usage).output_tokens) !== null) {
        facts.outputSaid = true
        facts.outputFinal ||= textOr(objectOr(event.delta).stop_reason) !== null
      }
      break
    case 'content_block_start': {
      const block = objectOr(event.content_block)
      if (block.type === 'fallback') facts.servedBy = textOr(objectOr(block.to).model)
      break
    }
    case 'error':
      facts.failed = true
      break
  }
}

/** A tap for events of the Messages API. */
export function makeMessagesTap(): StreamTap {
  const facts = newFacts()
  const text = makeOutputText(extractEvent)
  let terminal = false
  const event = ({ type, data }: SseEvent): SseVerdict => {
    if (terminal) return 'final'
    if (data !== null) text.defer(data)
    const body = data === null || isPlainContent(type) ? null : objectOr(parseJson(data))
    const kind = textOr(body?.type) ?? type
    observeEvent(facts, kind, body ?? {})
    if (kind !== 'message_stop') return 'pass'
    terminal = true
    return 'final'
  }
  const splitter = makeSseSplitter({
    event,
    oversized: ({ size }) => {
      text.skipped(size)
      return 'pass'
    },
    silent: countJson(text),
  })
  const all = withUnread(text, () => splitter.unread?.size ?? 0)
  return {
    push: (chunk) => splitter.push(chunk),
    end: () => splitter.end(),
    get terminal() {
      return terminal
    },
    report: () => reportOf(facts, terminal, all),
  }
}
