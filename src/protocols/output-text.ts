import { DEFERRED_EVENT_CHARS_MAX, OUTPUT_TEXT_CHARS_MAX } from '../kernel/limits/answers.ts'
import { SEALED_CHARS_PER_CHAR } from '../kernel/limits/models.ts'
import { cutBytes } from './condensed.ts'
import { parseJson } from './json.ts'
import type { Produced } from './protocol.ts'

/**
 * Takes text that an event or answer says was produced; of one cut out, how much it was. Reasoning
 * that is shown may be a summary of what is sealed beside it, which only its provider can read.
 */
export type AddText = (text: unknown, kind?: 'reasoning' | 'sealed') => void

/** Adds an object as its JSON, and what was cut out of it. */
export function addJson(value: object, add: AddText): void {
  const json = JSON.stringify(value, (_, each: unknown) => {
    if (cutBytes(each) === null) return each
    add(each)
    return ''
  })
  add(json)
}

export interface OutputText {
  /**
   * Keeps an event's JSON to be looked through when somebody asks for the text. With
   * `countsUnread` what proves to be none counts as skipped.
   */
  defer(data: string): void
  /** Counts bytes that were produced but not looked at. */
  skipped(bytes: number): void
  readonly produced: () => Produced
}

/** JSON under the content type of a stream is no event, but it is not nothing. */
export const countJson =
  (text: OutputText) =>
  (raw: Buffer, size: number): void => {
    if (/^\s*[[\]{,]/.test(raw.toString('latin1'))) text.skipped(size)
  }

/** No text, but so many characters of output. */
export const producedBeyond = (beyond: number) => (): Produced => ({ text: [], beyond })

/** The same with what is passing unread just now, and may never come to its end. */
export const withUnread = (text: OutputText, unread: () => number): OutputText => ({
  ...text,
  produced() {
    const { text: fragments, beyond } = text.produced()
    return { text: fragments, beyond: beyond + unread() }
  },
})

/**
 * The text of an answer, for estimates. Most answers report their usage and never need it, so
 * events are parsed only when the text is asked for or DEFERRED_EVENT_CHARS_MAX are waiting.
 */
export function makeOutputText(
  extract: (json: unknown, add: AddText) => void,
  countsUnread = false,
): OutputText {
  const fragments: string[] = []
  let deferred: string[] = []
  let deferredChars = 0
  let chars = 0
  let beyond = 0
  let sealed = 0
  let shown = 0
  const add: AddText = (text, kind) => {
    const length = cutBytes(text) ?? (typeof text === 'string' ? text.length : 0)
    if (kind === 'sealed') {
      sealed += Math.floor(length / SEALED_CHARS_PER_CHAR)
      return
    }
    if (kind === 'reasoning') shown += length
    beyond += cutBytes(text) ?? 0
    if (typeof text !== 'string' || text === '') return
    const kept = text.slice(0, Math.max(0, OUTPUT_TEXT_CHARS_MAX - chars))
    beyond += text.length - kept.length
    chars += kept.length
    if (kept !== '') fragments.push(kept)
  }
  const flush = (): void => {
    const waiting = deferred
    deferred = []
    deferredChars = 0
    for (const data of waiting) {
      const json = parseJson(data)
      if (json === null && countsUnread) beyond += data.length
      else extract(json, add)
    }
  }
  return {
    defer(data) {
      deferred.push(data)
      deferredChars += data.length
      if (deferredChars > DEFERRED_EVENT_CHARS_MAX) flush()
    },
    skipped(bytes) {
      beyond += bytes
    },
    produced() {
      flush()
      return { text: fragments, beyond: beyond + Math.max(0, sealed - shown) }
    },
  }
}
