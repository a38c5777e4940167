import { CONDENSED_BYTES_MAX, CUT_STRING_BYTES } from '../kernel/limits-body.ts'
import { HeldBytes } from './held-bytes.ts'
import { countOr, isObject } from './json.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
/** A name that no provider, and no tool of a client, has for anything. */
const CUT = 'farebox_cut'

/** Bytes of the string that a condensed text has this value in place of; null = of none. */
export const cutBytes = (value: unknown): number | null =>
  isObject(value) ? countOr(value[CUT]) : null

/**
 * JSON as it comes in pieces, less its long strings: pictures and sounds in base64, which say
 * nothing of usage. Each is `{"farebox_cut": <its bytes>}` in what is left, which is parsed in a
 * few milliseconds although megabytes came. Linear in the bytes, whatever the pieces.
 */
export class Condensed {
  #kept = new HeldBytes()
  /** What has come of a string that goes on; null = there is none. */
  #open: HeldBytes | null = null
  #openBytes = 0
  /** The last byte was a backslash that escapes what follows. */
  #escapes = false

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
    this.#close()
    return Buffer.concat(this.#kept.take())
  }

  /** Takes the strings that end in a piece, and what is before them. */
  #strings(piece: Buffer): { readonly isOpen: boolean; readonly from: number } {
    let from = 0
    let start = this.#open === null ? -1 : 0
    for (let at = piece.indexOf(QUOTE); at !== -1; at = piece.indexOf(QUOTE, at + 1)) {
      if (start === -1) start = at
      else if (!this.#isEscaped(piece, at)) {
        if (this.#openBytes + at - start > CUT_STRING_BYTES || this.#open !== null) {
          this.#kept.add(piece.subarray(from, start))
          this.#extend(piece.subarray(start, at + 1))
          this.#close()
          from = at + 1
        }
        start = -1
      }
    }
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

  /** The open string has ended, or will not. */
  #close(): void {
    if (this.#open === null) return
    const bytes = this.#openBytes - 2 // its quotes
    if (bytes <= CUT_STRING_BYTES) for (const part of this.#open.take()) this.#kept.add(part)
    else this.#kept.add(Buffer.from(JSON.stringify({ [CUT]: bytes })))
    this.#open = null
    this.#openBytes = 0
  }
}
