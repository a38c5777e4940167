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
import { openaiUsage } from './openai-chat-usage.ts'
import { countJson, makeOutputText, withUnread, type AddText } from './output-text.ts'
import type { MeterReport, StreamTap } from './protocol.ts'
import type { SseEvent, SseVerdict } from './sse-event.ts'
import { makeSseSplitter } from './sse.ts'

const DONE = '[DONE]'
const USAGE_KEY = '"usage"'
const ERROR_KEY = '"error"'

interface Facts {
  usage: JsonObject | null
  /** It came alone or with the last text: some servers say their numbers so far in each chunk. */
  isLast: boolean
  model: string | null
  serviceTier: string | null
  failed: boolean
}

/** Takes what one chunk or whole answer says; what it leaves out or calls null stays. */
function observe(facts: Facts, body: JsonObject): void {
  facts.model = textOr(body.model) ?? facts.model
  facts.serviceTier = textOr(body.service_tier) ?? facts.serviceTier
  if ((body.error ?? null) !== null) facts.failed = true
  const usage = usageOf(body)
  if (usage !== null) facts.usage = mergeSaid(facts.usage, usage)
}

/** Groq repeats the usage in `x_groq`, older Groq says it only there: never both. */
function usageOf(body: JsonObject): JsonObject | null {
  if (isObject(body.usage)) return body.usage
  const { usage } = objectOr(body.x_groq)
  return isObject(usage) ? usage : null
}

/** Text of `choices[].delta`, `.message` or (completions) `.text`: all that is billed as output. */
function extractText(json: unknown, add: AddText): void {
  for (const choice of arrayOr(objectOr(json).choices)) {
    const { delta, message, text } = objectOr(choice)
    add(text)
    const said = objectOr(delta ?? message)
    if (Array.isArray(said.content)) {
      for (const part of arrayOr(said.content)) add(objectOr(part).text)
    } else add(said.content)
    add(textOr(said.reasoning_content) ?? said.reasoning, 'reasoning')
    for (const detail of arrayOr(said.reasoning_details)) add(objectOr(detail).data, 'sealed')
    add(said.refusal)
    add(objectOr(said.audio).transcript)
    addCall(said.function_call, add)
    for (const call of arrayOr(said.tool_calls)) {
      const { function: named, custom } = objectOr(call)
      addCall(named, add)
      addCall(custom, add)
    }
  }
}

function addCall(call: unknown, add: AddText): void {
  const { name, arguments: args, input } = objectOr(call)
  add(name)
  add(args)
  add(input)
}

const newFacts = (): Facts => ({
  usage: null,
  isLast: false,
  model: null,
  serviceTier: null,
  failed: false,
})

function reportOf(
  facts: Facts,
  complete: boolean,
  text: ReturnType<typeof makeOutputText>,
): MeterReport {
  const told = openaiUsage(facts.usage)
  const isFinal = complete || facts.isLast
  return {
    usage: told.usage,
    // Zeros before the end are those of a server that has not counted yet.
    inputReported:
      told.inputReported && (isFinal || (countOr(facts.usage?.prompt_tokens) ?? 0) > 0),
    outputReported: told.outputReported && isFinal,
    outputTokensLeast: told.usage?.output_tokens ?? 0,
    model: facts.model,
    serviceTier: facts.serviceTier,
    complete,
    failed: facts.failed,
    produced: text.produced,
  }
}

/** Meters a whole answer of chat/completions; anything but a JSON object reports nothing. */
export function meterChatAnswer(body: Buffer): MeterReport {
  const facts = newFacts()
  const text = makeOutputText(extractText)
  const answer = body.toString('utf8')
  const parsed = parseJson(answer)
  if (isObject(parsed)) {
    observe(facts, parsed)
    text.defer(answer)
  } else {
    text.skipped(body.length)
  }
  return reportOf(facts, true, text)
}

/** Whether an event names a usage other than null: most chunks carry `"usage":null`. */
function namesUsage(data: string): boolean {
  for (let at = data.indexOf(USAGE_KEY); at !== -1; at = data.indexOf(USAGE_KEY, at)) {
    at += USAGE_KEY.length
    while (data[at] === ' ' || data[at] === ':') at += 1
    if (data[at] !== 'n') return true
  }
  return false
}

/** No text is in the chunk. */
const isAlone = ({ choices }: JsonObject): boolean => Array.isArray(choices) && choices.length === 0

/**
 * The chunk that only `include_usage` brings. Others with empty choices carry something of their
 * own (Azure's first, moderation, errors). Source: providers.md §1.
 */
function isUsageChunk(body: JsonObject): boolean {
  return (
    isAlone(body) &&
    isObject(body.usage) &&
    (body.moderation ?? body.prompt_filter_results ?? body.error ?? null) === null
  )
}

/** A reason that is told, not null; within text its quotes would be escaped. */
const FINISHED = /"finish_reason"\s*:\s*"/

function noteFinished(finished: Set<number>, body: JsonObject): void {
  for (const choice of arrayOr(body.choices)) {
    const { index, finish_reason } = objectOr(choice)
    if (textOr(finish_reason) !== null) finished.add(countOr(index) ?? 0)
  }
}

/**
 * A tap for chunks of chat/completions. Some servers end without `[DONE]`: where every choice said
 * why it ended, a clean end of the body is the end of the answer.
 */
export function makeChatTap(stripUsageChunk: boolean, choices = 1): StreamTap {
  const facts = newFacts()
  const text = makeOutputText(extractText)
  const finished = new Set<number>()
  let done = false
  let endedCleanly = false
  let isEnding = false
  let lastIsWhole = false
  const endsWhole = (): boolean => lastIsWhole
  const isTerminal = (): boolean =>
    done || (endedCleanly && finished.size >= choices && !facts.failed)
  const event = ({ type, data }: SseEvent): SseVerdict => {
    if (done) return 'final'
    if (type === 'error') facts.failed = true
    if (isEnding) lastIsWhole = data !== null && isObject(parseJson(data))
    if (data === null) return 'pass'
    if (data.startsWith(DONE)) {
      done = true
      return 'final'
    }
    text.defer(data)
    const ends = FINISHED.test(data)
    const hasUsage = namesUsage(data)
    if (!hasUsage && finished.size < choices) facts.isLast = false
    const telling = facts.model === null || hasUsage || data.includes(ERROR_KEY)
    const body = telling || ends ? parseJson(data) : null
    if (!isObject(body)) return 'pass'
    if (ends) noteFinished(finished, body)
    observe(facts, body)
    if (usageOf(body) !== null) facts.isLast = isAlone(body) || finished.size >= choices
    return stripUsageChunk && isUsageChunk(body) ? 'drop' : 'pass'
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
    end() {
      isEnding = true
      lastIsWhole = false
      const out = splitter.end()
      const rest = [...out.pass, ...out.final]
      endedCleanly = endsWhole() || rest.every((part) => part.toString('latin1').trim() === '')
      return out
    },
    get terminal() {
      return isTerminal()
    },
    report: () => reportOf(facts, isTerminal(), all),
  }
}
