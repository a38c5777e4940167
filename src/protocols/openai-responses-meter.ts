import { CUT_STRING_BYTES } from '../kernel/limits/answers.ts'
import { STORED_IDS_MAX, STORED_ID_CHARS_MAX } from '../kernel/limits/background.ts'
import { isPlain } from '../kernel/text.ts'
import { answerHead, eventHead, memberStart, textMembers } from './answer-head.ts'
import { usageTail } from './answer-tail.ts'
import { arrayOr, isObject, objectOr, parseJson, textOr, type JsonObject } from './json.ts'
import {
  countItem,
  imageModelOf,
  responsesUsage,
  type ToolItems,
} from './openai-responses-usage.ts'
import {
  countJson,
  makeOutputText,
  withUnread,
  type AddText,
  type OutputText,
} from './output-text.ts'
import type { MeterReport, StreamTap } from './protocol.ts'
import type { ByteEnds } from './byte-ends.ts'
import { readSseHead, type SseEvent, type SseVerdict } from './sse-event.ts'
import { makeSseSplitter } from './sse.ts'

/** After these nothing of a response changes any more. */
const TERMINAL: ReadonlySet<string> = new Set([
  'response.completed',
  'response.incomplete',
  'response.failed',
  'response.cancelled',
])
/** Events that carry the response as it stands; the others have their numbers in a later one. */
const TELLING: ReadonlySet<string> = new Set([...TERMINAL, 'response.created', 'response.queued'])
const ITEM_ADDED = 'response.output_item.added'
const ITEM_DONE = 'response.output_item.done'
/** Told, not null: a string, or what is in place of a long one. */
const SEALED = /"encrypted_content"\s*:\s*["{]/
const TOOL_ITEM = /"(?:web_search|image_generation)_call"/

interface Facts {
  /** The newest state of the response. */
  response: JsonObject
  /** Tool calls seen in the stream, for a response that does not list them. */
  readonly seen: ToolItems
  /** Events of the items that the stream began: read for a response too large to list them. */
  readonly begun: string[]
  failed: boolean
}

const newFacts = (): Facts => ({
  response: {},
  seen: { searches: 0, images: 0 },
  begun: [],
  failed: false,
})

/** Calls listed by the response itself, or those that the stream showed, whichever are more. */
function itemsOf({ response, seen }: Facts): ToolItems {
  const listed: ToolItems = { searches: 0, images: 0 }
  for (const item of arrayOr(response.output)) countItem(listed, item)
  return {
    searches: Math.max(listed.searches, seen.searches),
    images: Math.max(listed.images, seen.images),
  }
}

const isId = (id: unknown): id is string =>
  typeof id === 'string' && id !== '' && id.length <= STORED_ID_CHARS_MAX && isPlain(id)

/** Under which ids a response and its items can be read and gone on from. */
function storedIdsOf({ id, store, output }: JsonObject): string[] {
  if (store === false) return []
  return [id, ...arrayOr(output).map((item) => objectOr(item).id)]
    .filter(isId)
    .slice(0, STORED_IDS_MAX)
}

function reportOf(facts: Facts, complete: boolean, text: OutputText): MeterReport {
  const { response } = facts
  return {
    ...responsesUsage(response, itemsOf(facts)),
    storedIds: storedIdsOf(response),
    model: textOr(response.model),
    imagesBy: imageModelOf(response),
    serviceTier: textOr(response.service_tier),
    complete,
    failed: facts.failed,
    produced: text.produced,
  }
}

/** What the model wrote, as text: all that is billed as output save reasoning that is not there. */
function extractEvent(json: unknown, add: AddText): void {
  const { type, delta, item } = objectOr(json)
  const kind = textOr(type) ?? ''
  if (kind === ITEM_DONE) {
    add(objectOr(item).encrypted_content, 'sealed')
    return
  }
  if (!kind.includes('audio')) add(delta, kind.includes('reasoning') ? 'reasoning' : undefined)
  add(objectOr(item).name)
}

function extractAnswer(json: unknown, add: AddText): void {
  for (const item of arrayOr(objectOr(json).output)) {
    const { name, arguments: args, input, code, content, summary, ...rest } = objectOr(item)
    for (const text of [name, args, input, code]) add(text)
    add(rest.encrypted_content, 'sealed')
    for (const part of arrayOr(summary)) add(objectOr(part).text, 'reasoning')
    for (const part of arrayOr(content)) {
      add(objectOr(part).text)
      add(objectOr(part).refusal)
    }
  }
}

/** Meters a whole response; anything but a JSON object reports nothing. */
export function meterResponsesAnswer(body: Buffer): MeterReport {
  const facts = newFacts()
  const text = makeOutputText(extractAnswer)
  const answer = body.toString('utf8')
  const parsed = parseJson(answer)
  if (isObject(parsed)) {
    facts.response = parsed
    facts.failed = parsed.status === 'failed' || (parsed.error ?? null) !== null
    text.defer(answer)
  } else {
    text.skipped(body.length)
  }
  return reportOf(facts, true, text)
}

/**
 * Meters a response too large to be kept by its first and its last bytes. null = they do not tell.
 */
export function meterResponsesEnds(head: Buffer, tail: Buffer): MeterReport | null {
  const rest = usageTail(tail)
  if (rest === null) return null
  const { id, status, model } = answerHead(head)
  return meterResponsesAnswer(Buffer.from(JSON.stringify({ id, status, model, ...rest })))
}

/** Name of an event; servers that leave out the `event:` line say it in the data. */
function kindOf({ type, data }: SseEvent): string {
  if (type !== '' || data === null) return type
  return textOr(objectOr(parseJson(data)).type) ?? ''
}

const TYPE: ReadonlySet<string> = new Set(['type'])
const ITEM: ReadonlySet<string> = new Set(['id', 'type', 'status'])

/** What an event too large to be kept says by its first and its last bytes. */
function largeEvent(ends: ByteEnds) {
  const { type, data } = readSseHead(ends.head())
  const head = Buffer.from(data ?? '')
  const kind = type === '' ? (textMembers(head, TYPE).get('type') ?? '') : type
  const response = (): JsonObject => ({ ...eventHead(head), ...usageTail(ends.tail(), 'response') })
  const item = (): JsonObject =>
    Object.fromEntries(textMembers(head.subarray(memberStart(head, 'item') ?? head.length), ITEM))
  return { kind, response, item }
}

/** Text is in its deltas; elsewhere it is repeated, or no text. */
const hasText = (kind: string): boolean => kind.endsWith('.delta') || kind === ITEM_ADDED

/** Bytes of an event too large to be kept that may be text. */
function textBytes(ends: ByteEnds): number {
  const { kind } = largeEvent(ends)
  return kind === '' || hasText(kind) ? ends.size : 0
}

const itemOf = (data: string): JsonObject => objectOr(objectOr(parseJson(data)).item)
const toldOf = ({ id }: JsonObject): string => JSON.stringify({ item: { id } })

/** A tap for the events of a streamed response. */
export function makeResponsesTap(): StreamTap {
  const facts = newFacts()
  const text = makeOutputText(extractEvent)
  let terminal = false
  const tell = (kind: string, response: () => unknown): SseVerdict => {
    if (kind === 'error' || kind === 'response.failed') facts.failed = true
    if (!TELLING.has(kind)) return 'pass'
    const told = response()
    if (isObject(told)) facts.response = told
    if (!TERMINAL.has(kind)) return 'pass'
    terminal = true
    return 'final'
  }
  /** Costs nothing where the response lists its items: nearly always. */
  const begin = (data: string): void => {
    if (facts.begun.length === STORED_IDS_MAX) return
    facts.begun.push(data.length <= CUT_STRING_BYTES ? data : toldOf(itemOf(data)))
  }
  const event = (each: SseEvent): SseVerdict => {
    const { data } = each
    const kind = kindOf(each)
    if (terminal) return 'final'
    if (data === null) return 'pass'
    if (hasText(kind) || (kind === ITEM_DONE && SEALED.test(data))) text.defer(data)
    if (kind === ITEM_DONE && TOOL_ITEM.test(data)) {
      countItem(facts.seen, itemOf(data))
    }
    if (kind === ITEM_ADDED) begin(data)
    return tell(kind, () => objectOr(parseJson(data)).response)
  }
  const oversized = (ends: ByteEnds): SseVerdict => {
    const { kind, response, item } = largeEvent(ends)
    text.skipped(textBytes(ends))
    if (kind === ITEM_DONE) countItem(facts.seen, item())
    if (kind === ITEM_ADDED) begin(toldOf(item()))
    const output = (): JsonObject[] => facts.begun.map((data) => ({ id: itemOf(data).id }))
    return tell(kind, () => ({ ...facts.response, output: output(), ...response() }))
  }
  const splitter = makeSseSplitter({ event, oversized, silent: countJson(text) })
  const unread = (): number => (splitter.unread === null ? 0 : textBytes(splitter.unread))
  const all = withUnread(text, unread)
  return {
    push: (chunk) => splitter.push(chunk),
    end: () => splitter.end(),
    get terminal() {
      return terminal
    },
    report: () => reportOf(facts, terminal, all),
  }
}
