const LF = 0x0a
const CR = 0x0d
const COLON = 0x3a
const SPACE = 0x20
const DATA = Buffer.from('data')
const EVENT = Buffer.from('event')
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

/** What an event of a stream says; ids and retry times are of no use here. */
export interface SseEvent {
  /** Value of the last `event:` line, '' without one. */
  readonly type: string
  /** The `data:` lines joined by LF; null = the block has none (comments, blank lines). */
  readonly data: Buffer | null
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
const isField = (raw: Buffer, name: Buffer, start: number, end: number): boolean => {
  const nameEnd = start + name.length
  if (nameEnd > end || (nameEnd < end && raw[nameEnd] !== COLON)) return false
  for (let at = 0; at < name.length; at += 1) if (raw[start + at] !== name[at]) return false
  return true
}

function valueOf(raw: Buffer, name: Buffer, start: number, end: number): Buffer {
  let from = start + name.length + 1
  if (raw[from] === SPACE) from += 1
  return raw.subarray(Math.min(from, end), end)
}

const LINE_FEED = Buffer.from('\n')

function joinLines(lines: readonly Buffer[]): Buffer | null {
  const [first] = lines
  if (first === undefined || lines.length === 1) return first ?? null
  return Buffer.concat(lines.flatMap((line, at) => (at === 0 ? [line] : [LINE_FEED, line])))
}

/** Reads the block of lines that makes one event. Linear; copies only multi-line data. */
export function readSseEvent(raw: Buffer): SseEvent {
  const ends = new LineEnds(raw)
  const lines: Buffer[] = []
  let type = ''
  let start = raw.subarray(0, 3).equals(BYTE_ORDER_MARK) ? 3 : 0
  while (start < raw.length) {
    const found = ends.next(start)
    const end = found === -1 ? raw.length : found
    if (isField(raw, DATA, start, end)) lines.push(valueOf(raw, DATA, start, end))
    else if (isField(raw, EVENT, start, end)) {
      type = valueOf(raw, EVENT, start, end).toString('utf8')
    }
    start = end + 1
  }
  return { type, data: joinLines(lines) }
}
