const LF = 0x0a
const CR = 0x0d
const COLON = 0x3a
const SPACE = 0x20
const DATA = Buffer.from('data')
const EVENT = Buffer.from('event')

/** What an event of a stream says; ids and retry times are of no use here. */
export interface SseEvent {
  /** Value of the last `event:` line, '' without one. */
  readonly type: string
  /** The `data:` lines joined by LF; null = the block has none (comments, blank lines). */
  readonly data: string | null
}

/** What becomes of an event's bytes. After the first 'final' everything that follows is final. */
export type SseVerdict = 'pass' | 'drop' | 'final'

/** Finds line ends (CR, LF) from left to right; each byte is looked at once per kind. */
export class LineEnds {
  private readonly bytes: Buffer
  private lf: number
  private cr: number

  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.lf = bytes.indexOf(LF)
    this.cr = bytes.indexOf(CR)
  }

  /** Offset of the first CR or LF at or after `from`, −1 = none. `from` never goes back. */
  next(from: number): number {
    if (this.lf !== -1 && this.lf < from) this.lf = this.bytes.indexOf(LF, from)
    if (this.cr !== -1 && this.cr < from) this.cr = this.bytes.indexOf(CR, from)
    if (this.cr === -1) return this.lf
    return this.lf === -1 ? this.cr : Math.min(this.lf, this.cr)
  }
}

/** Whether the line in [start, end) has this field name. */
function isField(raw: Buffer, name: Buffer, start: number, end: number): boolean {
  const nameEnd = start + name.length
  if (nameEnd > end || (nameEnd < end && raw[nameEnd] !== COLON)) return false
  for (let at = 0; at < name.length; at += 1) if (raw[start + at] !== name[at]) return false
  return true
}

function valueOf(raw: Buffer, name: Buffer, start: number, end: number): string {
  let from = start + name.length + 1
  if (raw[from] === SPACE) from += 1
  return from < end ? raw.toString('utf8', from, end) : ''
}

const startsWithMark = (raw: Buffer): boolean =>
  raw[0] === 0xef && raw[1] === 0xbb && raw[2] === 0xbf

/**
 * Reads the block of lines that makes one event. `ends` are the offsets of its line ends in their
 * order (of CR LF the CR's); a last line without one is read too. Linear.
 */
export function readSseEvent(raw: Buffer, ends: readonly number[]): SseEvent {
  let data: string | null = null
  let more: string[] | null = null
  let type = ''
  let start = startsWithMark(raw) ? 3 : 0
  for (let line = 0; line <= ends.length; line += 1) {
    const end = ends[line] ?? raw.length
    if (isField(raw, DATA, start, end)) {
      const value = valueOf(raw, DATA, start, end)
      if (data === null) data = value
      else (more ??= [data]).push(value)
    } else if (isField(raw, EVENT, start, end)) type = valueOf(raw, EVENT, start, end)
    start = end + (raw[end] === CR && raw[end + 1] === LF ? 2 : 1)
  }
  return { type, data: more === null ? data : more.join('\n') }
}

/** Reads the first bytes of an event that was too large to be kept; its data is cut off. */
export function readSseHead(raw: Buffer): SseEvent {
  const lines = new LineEnds(raw)
  const ends: number[] = []
  for (let end = lines.next(0); end !== -1; end = lines.next(end + 1)) {
    const isSecondHalf = raw[end] === LF && raw[end - 1] === CR
    if (!isSecondHalf) ends.push(end)
  }
  return readSseEvent(raw, ends)
}
