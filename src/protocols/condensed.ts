import { CONDENSED_BYTES_MAX, CUT_STRING_BYTES } from '../kernel/limits/answers.ts'
import { HeldBytes } from './held-bytes.ts'
import { countOr, isObject } from './json.ts'
import { LineEnds } from './sse-event.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const CLOSED = 0x7d
const SPACE = 0x20
/** Names that no provider, and no tool of a client, has for anything. */
const CUT = 'farebox_cut'
const CUT_KEY = '"farebox_key"'

/** Bytes of the string that a condensed text has this value in place of; null = of none. */
export const cutBytes = (value: unknown): number | null =>
  isObject(value) ? countOr(value[CUT]) : null

/** Whether the next byte at or after `at` that is no space is a colon. */
function isKeyBefore(text: Buffer, at: number): boolean {
  while (at < text.length && (text[at] ?? 0) <= SPACE) at += 1
  return text[at] === COLON
}

/**
 * JSON as it comes in pieces, less its long strings: pictures and sounds in base64, which say
 * nothing of usage. Each is `{"farebox_cut": <its bytes>}` in what is left, or `"farebox_key"`
 * where it is a key; that is parsed in a few milliseconds although megabytes came. What is beside
 * JSON, an event's other lines, may have odd quotes: no string of JSON goes beyond a line. Linear
 * in the bytes, whatever the pieces.
 */
export class Condensed {
  #kept = new HeldBytes()
  /** What has come of a string that goes on; null = there is none. */
  #open: HeldBytes | null = null
  #openBytes = 0
  /** The last byte was a backslash that escapes what follows. */
  #escapes = false
  /** Where in what is kept the strings were that were cut out. */
  readonly #cuts: number[] = []

  /** false = too much is left to be read. */
  add(piece: Buffer): boolean {
    const { isOpen, from } = this.#strings(piece)
    const rest = piece.subarray(from)
    if (isOpen) this.#extend(rest)
    else this.#kept.add(rest)
    this.#escapes = isOpen && this.#isEscaped(piece, piece.length)
    return this.#kept.size + (this.#open?.size ?? 0) <= CONDENSED_BYTES_MAX
  }

  /** All that is left. */
  take(): Buffer {
    this.#close(false)
    const left = Buffer.concat(this.#kept.take())
    for (const at of this.#cuts) {
      const end = left.indexOf(CLOSED, at) + 1
      if (isKeyBefore(left, end)) left.fill(SPACE, at, end).write(CUT_KEY, at)
    }
    return left
  }

  /** Takes the strings that end in a piece, and what is before them. */
  #strings(piece: Buffer): { readonly isOpen: boolean; readonly from: number } {
    const lines = new LineEnds(piece)
    let from = 0
    let start = this.#open === null ? -1 : 0
    /** Leaves the string that began before `at`, if its line ends before that. */
    const leave = (at: number): void => {
      const end = start === -1 ? -1 : lines.next(start)
      if (end === -1 || end >= at) return
      this.#kept.add(piece.subarray(from, start))
      this.#extend(piece.subarray(start, end))
      this.#close(false)
      from = end
      start = -1
    }
    for (let at = piece.indexOf(QUOTE); at !== -1; at = piece.indexOf(QUOTE, at + 1)) {
      leave(at)
      if (start === -1) start = at
      else if (!this.#isEscaped(piece, at)) {
        if (this.#openBytes + at - start > CUT_STRING_BYTES || this.#open !== null) {
          this.#kept.add(piece.subarray(from, start))
          this.#extend(piece.subarray(start, at + 1))
          this.#close(true)
          from = at + 1
        }
        start = -1
      }
    }
    leave(piece.length)
    if (start === -1) return { isOpen: false, from }
    this.#kept.add(piece.subarray(from, start))
    return { isOpen: true, from: start }
  }

  /** Whether what is at `end` is escaped: an odd number of backslashes is right before it. */
  #isEscaped(piece: Buffer, end: number): boolean {
    let start = end
    while (start > 0 && piece[start - 1] === BACKSLASH) start -= 1
    const isOdd = (end - start) % 2 === 1
    return start === 0 && this.#escapes ? !isOdd : isOdd
  }

  #extend(part: Buffer): void {
    this.#open ??= new HeldBytes()
    this.#openBytes += part.length
    if (this.#openBytes <= CUT_STRING_BYTES + 2) this.#open.add(part)
    else this.#open.take()
  }

  /** The open string has ended (`isWhole`), or will not. */
  #close(isWhole: boolean): void {
    if (this.#open === null) return
    const bytes = this.#openBytes - 2 // its quotes
    if (bytes <= CUT_STRING_BYTES) for (const part of this.#open.take()) this.#kept.add(part)
    else if (isWhole) {
      this.#cuts.push(this.#kept.size)
      this.#kept.add(Buffer.from(JSON.stringify({ [CUT]: bytes })))
    } else this.#kept.add(Buffer.of(QUOTE)) // no JSON, as it was
    this.#open = null
    this.#openBytes = 0
  }
}
