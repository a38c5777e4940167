import { ERRORS, type ErrorCode } from '../kernel/errors.ts'
import { usageTail } from './answer-tail.ts'
import { isObject, objectOr, parseJson, textOr, type JsonObject } from './json.ts'
import { makeOutputText, type AddText, type OutputText } from './output-text.ts'
import type { StreamTap, MeterReport } from './protocol.ts'
import { readSseHead, type SseEvent, type SseVerdict } from './sse-event.ts'
import { makeSseSplitter } from './sse.ts'

/** What a stream of images, speech or a transcript said so far. */
export interface MediaSeen {
  /** The `usage` of each event that ends a piece of work; null = it had none. */
  readonly usages: readonly (JsonObject | null)[]
  readonly complete: boolean
  readonly failed: boolean
  readonly text: OutputText
}

export interface MediaStream {
  /** Ends of the names of events that carry usage, as "speech.audio.done" has. */
  readonly ends: ReadonlySet<string>
  /** How many of them there are in a whole stream. */
  readonly count: number
  /** Whether other events hold text, which an estimate is made of. */
  readonly hasText: boolean
  report(seen: MediaSeen): MeterReport
}

const DONE = '[DONE]'
/** Where a server leaves out the `event:` line: the type is among the first members or the last. */
const TYPE = /"type"\s*:\s*"([a-z_]+\.[a-z_.]+|error)"/
const TYPE_CHARS = 512

function kindOf({ type, data }: SseEvent): string {
  if (type !== '' || data === null) return type
  const found = TYPE.exec(data.slice(0, TYPE_CHARS)) ?? TYPE.exec(data.slice(-TYPE_CHARS))
  return found?.[1] ?? textOr(objectOr(parseJson(data)).type) ?? ''
}

const extractDelta = (json: unknown, add: AddText): void => {
  add(objectOr(json).delta)
}

/**
 * A tap for OpenAI's streams of media. They have no event that always comes last: the events named
 * by `ends` are counted, and from the last of them on everything waits until the charge is posted.
 */
export function makeMediaTap(stream: MediaStream): StreamTap {
  const usages: (JsonObject | null)[] = []
  const text = makeOutputText(extractDelta)
  let failed = false
  let ended = false
  let unread = 0 // an end may be among them
  const isWhole = (): boolean =>
    usages.length >= stream.count || (ended && usages.length + unread > 0)
  const end = (usage: unknown): SseVerdict => {
    usages.push(isObject(usage) ? usage : null)
    return usages.length >= stream.count ? 'final' : 'pass'
  }
  const event = (each: SseEvent): SseVerdict => {
    const { data } = each
    if (data === null) return 'pass'
    if (data.startsWith(DONE)) return 'final'
    const kind = kindOf(each)
    if (kind === 'error') failed = true
    if (stream.hasText && kind.endsWith('.delta')) text.defer(data)
    if (!stream.ends.has(kind)) return 'pass'
    return end(objectOr(parseJson(data)).usage)
  }
  const splitter = makeSseSplitter({
    event,
    oversized(ends) {
      const { type, data } = readSseHead(ends.head())
      const kind = kindOf({ type, data: `${data ?? ''}${ends.tail().toString('latin1')}` })
      if (kind === '') unread += 1
      if (!stream.ends.has(kind)) return 'pass'
      return end(usageTail(ends.tail())?.usage)
    },
  })
  return {
    push: (chunk) => splitter.push(chunk),
    end() {
      const out = splitter.end()
      ended = true
      return out
    },
    get terminal() {
      return isWhole()
    },
    report: () => stream.report({ usages, complete: isWhole(), failed, text }),
  }
}

/** The event that tells a stream of media that it failed. */
export function mediaStreamError(code: ErrorCode, message: string): Buffer {
  const { openaiType, openaiCode } = ERRORS[code]
  const error = { type: openaiType, code: openaiCode, message, param: null }
  return Buffer.from(`\n\nevent: error\ndata: ${JSON.stringify({ type: 'error', error })}\n\n`)
}
