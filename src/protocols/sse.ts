import { ANSWER_TAIL_BYTES, SSE_EVENT_BYTES_MAX } from '../kernel/limits.ts'
import { ANSWER_HEAD_BYTES } from '../kernel/limits-media.ts'
import { ByteEnds } from './byte-ends.ts'
import { HeldBytes } from './held-bytes.ts'
import type { TapOutput } from './protocol.ts'
import { LineEnds, readSseEvent, type SseEvent, type SseVerdict } from './sse-event.ts'

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
  /** A block that is no event: comments, blank lines, or nothing that belongs into a stream. */
  silent?(raw: Buffer): void
}

export interface SseSplitter {
  push(chunk: Buffer): TapOutput
  end(): TapOutput
  /** The event that passes unread, as far as it came; null = none does. */
  readonly unread: ByteEnds | null
}

/**
 * Splits a stream of server-sent events at byte level: what goes out is what came in, byte for
 * byte, save dropped events, and at most the current event is held back. An event beyond
 * `eventBytesMax` passes without being read or held. Time is linear in the bytes, whatever the
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
  private readonly held = new HeldBytes()
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
    const size = this.held.size
    const pieces = this.held.take()
    if (size > 0) out.pieces(this.judge(Buffer.concat(pieces, size)), pieces)
    this.closeUnread()
    return out
  }

  /** The event that began in held bytes or at `start` is complete at `end`. */
  private finish(out: Output, chunk: Buffer, start: number, end: number): void {
    const size = this.held.size + end - start
    if (this.unread !== null || size > this.eventBytesMax) {
      this.letGo(out).add(chunk.subarray(start, end))
      this.lastVerdict = this.closeUnread()
      out.range(this.lastVerdict, start, end)
      return
    }
    const rest = start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end)
    const pieces = this.held.take()
    const raw = pieces.length === 0 ? rest : Buffer.concat([...pieces, rest], size)
    const verdict = this.judge(raw)
    out.pieces(verdict, pieces)
    out.range(verdict, start, end)
    this.lastVerdict = verdict
  }

  /** What is left of the chunk belongs to an event that goes on. */
  private hold(out: Output, chunk: Buffer, start: number): void {
    const restBytes = chunk.length - start
    if (restBytes === 0) return
    if (this.unread !== null || this.held.size + restBytes > this.eventBytesMax) {
      this.letGo(out).add(chunk.subarray(start))
      out.range(this.terminal ? 'final' : 'pass', start, chunk.length)
      return
    }
    this.held.add(chunk.subarray(start))
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

  private judge(raw: Buffer): SseVerdict {
    const event = readSseEvent(raw, this.lineEnds)
    this.lineEnds = []
    const spoken = event.data !== null || event.type !== ''
    if (!spoken) this.handler.silent?.(raw)
    const verdict = spoken ? this.handler.event(event) : 'pass'
    if (verdict === 'final') this.terminal = true
    return this.terminal ? 'final' : verdict
  }
}
