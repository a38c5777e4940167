import { SSE_EVENT_BYTES_MAX } from '../kernel/limits/answers.ts'
import { HeldEvent } from './held-event.ts'
import type { TapOutput } from './protocol.ts'
import type { SseVerdict } from './sse-event.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d

export interface ArrayHandler {
  /** Called once per element that is an object or array, with its text. Must not throw. */
  element(json: string): SseVerdict
  /** Bytes passed unread: an element beyond the bound, a part of one, what follows the array. */
  oversized(bytes: number): void
}

export interface ArraySplitter {
  push(chunk: Buffer): TapOutput
  end(): TapOutput
  /** Elements that left, or wait as final. */
  readonly elements: number
  /** Bytes that passed of an element which is not complete, and too large to be read. */
  readonly unread: number
  /** The array was closed. */
  readonly closed: boolean
}

/**
 * Splits a JSON array that arrives in pieces: what goes out is what came in, byte for byte, and at
 * most the current element (with the comma before it) is held back. An element beyond
 * `elementBytesMax` passes without being read. The closing bracket and what follows are final. A
 * text that is not an array has one element. Linear in the bytes, whatever the pieces.
 */
export function makeArraySplitter(
  handler: ArrayHandler,
  elementBytesMax = SSE_EVENT_BYTES_MAX,
): ArraySplitter {
  return new Splitter(handler, elementBytesMax)
}

class Splitter implements ArraySplitter {
  readonly #handler: ArrayHandler
  readonly #bytesMax: number
  readonly #held = new HeldEvent()
  #depth = 0
  /** Depth at which elements begin: 1 in an array. */
  #base = 0
  #started = false
  #inString = false
  #escaped = false
  unread = 0
  #final = false
  /** The array ended: what follows is no element of it. */
  #isOver = false
  elements = 0
  closed = false

  constructor(handler: ArrayHandler, bytesMax: number) {
    this.#handler = handler
    this.#bytesMax = bytesMax
  }

  push(chunk: Buffer): TapOutput {
    const out = { pass: [] as Buffer[], final: [] as Buffer[] }
    let start = 0
    for (let at = 0; at < chunk.length; at += 1) {
      if (!this.#step(chunk[at] ?? 0)) continue
      this.#finish(out, chunk.subarray(start, at + 1))
      start = at + 1
    }
    this.#hold(out, chunk.subarray(start))
    return out
  }

  end(): TapOutput {
    const rest = this.#held.take()
    this.#skip(rest)
    return this.#final ? { pass: [], final: rest } : { pass: rest, final: [] }
  }

  /** Takes one byte; true = it ends an element or the array. */
  #step(byte: number): boolean {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false
      else if (byte === BACKSLASH) this.#escaped = true
      else if (byte === QUOTE) this.#inString = false
      return false
    }
    switch (byte) {
      case QUOTE:
        this.#inString = true
        return false
      case OPEN_ARRAY:
      case OPEN_OBJECT:
        if (!this.#started && byte === OPEN_ARRAY) this.#base = 1
        this.#started = true
        this.#depth += 1
        return false
      case CLOSE_ARRAY:
      case CLOSE_OBJECT:
        this.#depth -= 1
        if (this.#depth < this.#base) this.closed = true
        return this.#depth <= this.#base
      default:
        return false
    }
  }

  #finish(out: { pass: Buffer[]; final: Buffer[] }, last: Buffer): void {
    const bytes = this.unread + this.#held.size + last.length
    const whole = bytes > this.#bytesMax || this.unread > 0 ? null : this.#held.whole(last)
    if (whole === null) {
      this.#handler.oversized(bytes)
      this.unread = 0
      this.elements += 1
      out[this.#final ? 'final' : 'pass'].push(...this.#held.take(), last)
      return
    }
    const pieces = [...this.#held.take(), last]
    if (this.#isOver) this.#skip(pieces)
    if (!this.closed) {
      // Before the element are white space and a comma, before the first one the bracket.
      const text = whole.toString('utf8').replace(/^\s*[[,]?\s*/, '')
      if (this.#handler.element(text) === 'final') this.#final = true
      this.elements += 1
      if (this.#base === 0) this.closed = true
    }
    if (this.closed) {
      this.#final = true
      this.#isOver = true
    }
    out[this.#final ? 'final' : 'pass'].push(...pieces)
  }

  /** Nothing was made of these bytes, nor of what of the same element went before them. */
  #skip(pieces: readonly Buffer[]): void {
    const isBlank = pieces.every((piece) => piece.toString('latin1').trim() === '')
    const bytes = this.unread + pieces.reduce((sum, piece) => sum + piece.length, 0)
    this.unread = 0
    if (bytes > 0 && !isBlank) this.#handler.oversized(bytes)
  }

  /** Keeps the element that is not complete yet; lets it go once it is too large. */
  #hold(out: { pass: Buffer[]; final: Buffer[] }, rest: Buffer): void {
    if (rest.length === 0) return
    const isSmall = this.unread === 0 && this.#held.size + rest.length <= this.#bytesMax
    if (this.#held.add(rest) && isSmall) return
    const pieces = this.#held.take()
    this.unread += pieces.reduce((sum, piece) => sum + piece.length, 0)
    out[this.#final ? 'final' : 'pass'].push(...pieces)
  }
}
