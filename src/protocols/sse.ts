import {
  ANSWER_HEAD_BYTES,
  ANSWER_TAIL_BYTES,
  SSE_EVENT_BYTES_MAX,
} from '../kernel/limits/answers.ts'
import { ByteEnds } from './byte-ends.ts'
import { HeldEvent } from './held-event.ts'
import type { TapOutput } from './protocol.ts'
import { LineEnds, readSseEvent, readSseHead, type SseEvent, type SseVerdict } from './sse-event.ts'

const LF = 0x0a
const CR = 0x0d

export interface SseHandler {
  /** Called once per event that has a type or data, in order. Must not throw. */
  event(event: SseEvent): SseVerdict
  /**
   * An event outgrew the bound: all but its last bytes have passed, unread. Called once, at its
   * end; says what becomes of those bytes. Must not throw.
   */
  oversized(ends: ByteEnds): SseVerdict
  /**
   * A block of so many bytes that is no event: comments, blank lines, or nothing that belongs into
   * a stream.
   */
  silent?(raw: Buffer, size: number): void
}

export interface SseSplitter {
  push(chunk: Buffer): TapOutput
  end(): TapOutput
  /** The event that passes unread, as far as it came; null = none does. */
  readonly unread: ByteEnds | null
}

/**
 * Splits a stream of server-sent events at byte level: what goes out is what came in, byte for
 * byte, save dropped events, and at most the current event is held back. A large one is read
 * without its long strings (`Condensed`); one with too much in it even so, or beyond
 * `eventBytesMax`, passes without being read or held. Time is linear in the bytes, whatever the
 * chunks; bytes are passed as parts of their chunks, not copied. Source: providers.md §6.
 */
export function makeSseSplitter(
  handler: SseHandler,
  eventBytesMax = SSE_EVENT_BYTES_MAX,
): SseSplitter {
  return new Splitter(handler, eventBytesMax)
}

/** Collects output; neighbouring ranges of the chunk with one verdict leave as one buffer. */
class Output {
  readonly pass: Buffer[] = []
  readonly final: Buffer[] = []
  private readonly chunk: Buffer
  private verdict: SseVerdict = 'drop'
  private start = 0
  private end = 0

  constructor(chunk: Buffer) {
    this.chunk = chunk
  }

  range(verdict: SseVerdict, start: number, end: number): void {
    if (verdict !== this.verdict || start !== this.end) {
      this.flush()
      this.verdict = verdict
      this.start = start
    }
    this.end = end
  }

  pieces(verdict: SseVerdict, pieces: readonly Buffer[]): void {
    if (verdict === 'drop' || pieces.length === 0) return
    this.flush()
    for (const piece of pieces) this[verdict].push(piece)
  }

  flush(): this {
    if (this.verdict !== 'drop' && this.end > this.start) {
      const whole = this.start === 0 && this.end === this.chunk.length
      this[this.verdict].push(whole ? this.chunk : this.chunk.subarray(this.start, this.end))
    }
    this.start = this.end
    return this
  }
}

const NO_BYTES = Buffer.alloc(0)

class Splitter implements SseSplitter {
  private readonly handler: SseHandler
  private readonly eventBytesMax: number
  private readonly held = new HeldEvent()
  /** The current line has no byte yet: if it ends now it is blank and ends the event. */
  private lineEmpty = true
  /** The last byte was a CR: a LF that follows belongs to the same line end. */
  private afterCr = false
  private lastVerdict: SseVerdict = 'pass'
  private terminal = false
  unread: ByteEnds | null = null
  /** Line ends of the current event, counted from its first byte. */
  private lineEnds: number[] = []

  constructor(handler: SseHandler, eventBytesMax: number) {
    this.handler = handler
    this.eventBytesMax = eventBytesMax
  }

  push(chunk: Buffer): TapOutput {
    const out = new Output(chunk)
    if (chunk.length === 0) return out
    const ends = new LineEnds(chunk)
    let start = 0
    let at = 0
    if (this.afterCr && chunk[0] === LF) {
      at = 1
      if (this.held.size === 0 && this.unread === null) {
        start = 1 // the second half of the line end that closed the last event
        out.range(this.lastVerdict, 0, 1)
      }
    }
    this.afterCr = false
    for (let end = ends.next(at); end !== -1; end = ends.next(at)) {
      const blank = this.lineEmpty && end === at
      at = end + 1
      if (chunk[end] === CR) {
        if (at === chunk.length) this.afterCr = true
        else if (chunk[at] === LF) at += 1
      }
      this.lineEmpty = true
      if (this.unread === null) this.lineEnds.push(this.held.size + end - start)
      if (blank) {
        this.finish(out, chunk, start, at)
        start = at
      }
    }
    if (at < chunk.length) this.lineEmpty = false
    this.hold(out, chunk, start)
    return out.flush()
  }

  end(): TapOutput {
    const out = new Output(NO_BYTES)
    const { size } = this.held
    const whole = this.held.whole(NO_BYTES)
    if (whole === null) this.letGo(out)
    else if (size > 0) out.pieces(this.judge(whole, size), this.held.take())
    this.closeUnread()
    return out
  }

  /** The event that began in held bytes or at `start` is complete at `end`. */
  private finish(out: Output, chunk: Buffer, start: number, end: number): void {
    const rest = start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end)
    const size = this.held.size + rest.length
    const isOversized = this.unread !== null || size > this.eventBytesMax
    const whole = isOversized ? null : this.held.whole(rest)
    if (whole === null) {
      this.letGo(out).add(rest)
      this.lastVerdict = this.closeUnread()
    } else {
      const pieces = this.held.take()
      this.lastVerdict = this.judge(whole, size)
      out.pieces(this.lastVerdict, pieces)
    }
    out.range(this.lastVerdict, start, end)
  }

  /** What is left of the chunk belongs to an event that goes on. */
  private hold(out: Output, chunk: Buffer, start: number): void {
    if (start === chunk.length) return
    const rest = chunk.subarray(start)
    if (this.unread !== null || this.held.size + rest.length > this.eventBytesMax) {
      this.letGo(out).add(rest)
      out.range(this.terminal ? 'final' : 'pass', start, chunk.length)
    } else if (!this.held.add(rest)) this.letGo(out)
  }

  /** Lets go of what is held of an oversized event. */
  private letGo(out: Output): ByteEnds {
    const ends = (this.unread ??= new ByteEnds(ANSWER_HEAD_BYTES, ANSWER_TAIL_BYTES))
    this.lineEnds = []
    const pieces = this.held.take()
    for (const piece of pieces) ends.add(piece)
    out.pieces(this.terminal ? 'final' : 'pass', pieces)
    return ends
  }

  private closeUnread(): SseVerdict {
    const ends = this.unread
    if (ends === null) return 'pass'
    this.lineEnds = []
    this.unread = null
    const verdict = this.handler.oversized(ends)
    if (verdict === 'final') this.terminal = true
    return this.terminal ? 'final' : verdict
  }

  /** `whole` is what is to be read of `size` bytes. */
  private judge(whole: Buffer, size: number): SseVerdict {
    const isCut = whole.length !== size
    const event = isCut ? readSseHead(whole) : readSseEvent(whole, this.lineEnds)
    this.lineEnds = []
    const spoken = event.data !== null || event.type !== ''
    if (!spoken) this.handler.silent?.(whole, size)
    const verdict = spoken ? this.handler.event(event) : 'pass'
    if (verdict === 'final') this.terminal = true
    return this.terminal ? 'final' : verdict
  }
}
