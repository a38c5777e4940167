import type { ErrorCode } from '../kernel/errors.ts'
import { geminiUsage } from './gemini-usage.ts'
import { arrayOr, countOr, isObject, objectOr, parseJson, textOr } from './json.ts'
import { makeArraySplitter } from './json-array.ts'
import {
  addJson,
  countJson,
  makeOutputText,
  withUnread,
  type AddText,
  type OutputText,
} from './output-text.ts'
import type { MeterReport, RequestView, StreamTap } from './protocol.ts'
import type { SseVerdict } from './sse-event.ts'
import { makeSseSplitter } from './sse.ts'

/** Looked for before a chunk is parsed: only these change what is known of the answer. */
const TELLING = /"(?:finishReason|blockReason|error)"/
/** One that says something: null and {} say nothing newer. */
const USAGE = /"usageMetadata"\s*:\s*\{\s*"/

interface Facts {
  /** The newest chunk that carries usage, not parsed yet: the last one wins. */
  latest: string | null
  model: string | null
  /** Candidates that said why they ended; a refused prompt ends them all. */
  readonly finished: Set<number>
  blocked: boolean
  failed: boolean
}

const newFacts = (): Facts => ({
  latest: null,
  model: null,
  finished: new Set(),
  blocked: false,
  failed: false,
})

const isFinished = (facts: Facts): boolean => facts.blocked || facts.finished.size > 0

/** Text that the model produced: all that is billed as output save hidden thoughts and media. */
function extractText(json: unknown, add: AddText): void {
  for (const candidate of arrayOr(objectOr(json).candidates)) {
    for (const part of arrayOr(objectOr(objectOr(candidate).content).parts)) {
      const { text, functionCall, executableCode } = objectOr(part)
      add(text)
      add(objectOr(executableCode).code)
      const { name, args } = objectOr(functionCall)
      add(name)
      if (isObject(args)) addJson(args, add)
    }
  }
}

/** Takes what a chunk, or a whole answer, says of its end. */
function observe(facts: Facts, data: string): void {
  if (USAGE.test(data)) facts.latest = data
  if (!TELLING.test(data)) return
  const { candidates, promptFeedback, error } = objectOr(parseJson(data))
  if ((error ?? null) !== null) facts.failed = true
  if (textOr(objectOr(promptFeedback).blockReason) !== null) facts.blocked = true
  for (const candidate of arrayOr(candidates)) {
    const { finishReason, index } = objectOr(candidate)
    if (textOr(finishReason) !== null) facts.finished.add(countOr(index) ?? 0)
  }
}

function reportOf(facts: Facts, complete: boolean, text: OutputText): MeterReport {
  const latest = objectOr(facts.latest === null ? null : parseJson(facts.latest))
  const reported = objectOr(latest.usageMetadata)
  const { usage, inputReported, outputTokens } = geminiUsage(reported)
  return {
    usage,
    inputReported,
    outputReported: usage !== null && complete,
    outputTokensLeast: outputTokens,
    model: textOr(latest.modelVersion),
    serviceTier: textOr(reported.serviceTier)?.toLowerCase() ?? null,
    complete,
    failed: facts.failed,
    produced: text.produced,
  }
}

/** Meters a whole answer; anything but a JSON object reports nothing. */
export function meterGeminiAnswer(body: Buffer): MeterReport {
  const facts = newFacts()
  const text = makeOutputText(extractText)
  const answer = body.toString('utf8')
  if (isObject(parseJson(answer))) {
    observe(facts, answer)
    text.defer(answer)
  } else {
    text.skipped(body.length)
  }
  return reportOf(facts, true, text)
}

interface ChunkReader {
  readonly facts: Facts
  readonly text: OutputText
  readonly chunk: (data: string) => SseVerdict
}

/** Chunks are the same in events and in an array. The last one waits until the charge is posted. */
function makeChunkReader(view: RequestView): ChunkReader {
  const facts = newFacts()
  const text = makeOutputText(extractText, true)
  return {
    facts,
    text,
    chunk(data) {
      text.defer(data)
      observe(facts, data)
      return facts.blocked || facts.finished.size >= view.choices ? 'final' : 'pass'
    },
  }
}

/**
 * A tap for server-sent events. Google has no terminal event: from the last candidate's end on
 * everything waits, and the end of the body ends the answer, so that later numbers still count.
 */
export function makeGeminiTap(view: RequestView): StreamTap {
  const { facts, text, chunk } = makeChunkReader(view)
  let ended = false
  const splitter = makeSseSplitter({
    event: ({ data }) => (data === null ? 'pass' : chunk(data)),
    oversized: ({ size }) => {
      text.skipped(size)
      return 'pass'
    },
    silent: countJson(text),
  })
  const all = withUnread(text, () => splitter.unread?.size ?? 0)
  return {
    push: (bytes) => splitter.push(bytes),
    end() {
      const out = splitter.end()
      ended = true
      return out
    },
    get terminal() {
      return ended && isFinished(facts)
    },
    report: () => reportOf(facts, isFinished(facts), all),
  }
}

/** A tap for the JSON array that Google streams without `alt=sse`: its end is the terminal event */
export function makeGeminiArrayTap(
  view: RequestView,
  failure: (code: ErrorCode, message: string) => string,
): StreamTap {
  const { facts, text, chunk } = makeChunkReader(view)
  const splitter = makeArraySplitter({
    element: chunk,
    oversized: (bytes) => {
      text.skipped(bytes)
    },
  })
  const all = withUnread(text, () => splitter.unread)
  return {
    push: (bytes) => splitter.push(bytes),
    end: () => splitter.end(),
    streamError(code, message) {
      return Buffer.from(`${splitter.elements === 0 ? '[' : ','}${failure(code, message)}]`)
    },
    get terminal() {
      return splitter.closed && isFinished(facts)
    },
    report: () => reportOf(facts, isFinished(facts), all),
  }
}
