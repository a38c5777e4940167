import { isRefusal, type Refusal } from '../kernel/errors.ts'
import {
  FORM_FIELDS_BYTES_MAX,
  FORM_FIELD_BYTES_MAX,
  FORM_FILES_MAX,
  FORM_HEAD_BYTES_MAX,
  FORM_PARTS_MAX,
} from '../kernel/limits/forms.ts'
import { boundaryOf, partHead, wrong, type PartHead } from './form-parts.ts'
import type { Form, FormPart } from './form.ts'

/** Reads a form as its bytes come. */
export interface FormScan {
  /** Bytes that end a form: without them no reader has the whole of it. */
  readonly endBytes: number
  /** Memory that it keeps by now. */
  readonly keptBytes: number
  /** null = nothing is wrong so far. After a refusal nothing more is read. */
  push(chunk: Buffer): Refusal | null
  /** The body is over. */
  end(): Form | Refusal
  /** The parts so far: fields that are whole, and files, of which the last one may go on. */
  soFar(): Form
  /** Keeps nothing any more. Nothing may follow. */
  forget(): void
}

const HEAD_END = Buffer.from('\r\n\r\n')
const NOTHING = Buffer.alloc(0)
/** What a step may wait for at most: more than a head, or a delimiter. */
const LOOK_BYTES = FORM_HEAD_BYTES_MAX + 128

/** Gathers one part. What it keeps is a copy: a view would keep the whole chunk. */
class Gathering {
  readonly head: PartHead
  readonly at: number
  bytes = 0
  #kept = NOTHING
  #keptBytes = 0
  #keepBytesMax: number
  #headBytes: number

  constructor(head: PartHead, at: number, keepBytesMax: number, headBytes: number) {
    this.head = head
    this.at = at
    this.#keepBytesMax = keepBytesMax
    this.#headBytes = headBytes
  }

  get memoryBytes(): number {
    return this.#headBytes + this.#kept.length
  }

  take(data: Buffer): void {
    this.bytes += data.length
    const own = data.subarray(0, this.#keepBytesMax - this.#keptBytes)
    const needed = this.#keptBytes + own.length
    if (needed > this.#kept.length) {
      const larger = Buffer.alloc(Math.min(2 * needed, this.#keepBytesMax))
      this.#kept.copy(larger)
      this.#kept = larger
    }
    own.copy(this.#kept, this.#keptBytes)
    this.#keptBytes = needed
  }

  part(): FormPart {
    const data = this.#kept.subarray(0, this.#keptBytes)
    return { ...this.head, data, bytes: this.bytes, at: this.at }
  }
}

/** The parts of a form, within what a form may have. */
class Gathered {
  readonly parts: Gathering[] = []
  #fileHeadBytes: number
  #files = 0
  #fieldBytes = 0
  /** Bytes before the part's own: the line end of its headers, which may be its delimiter's too. */
  #skip = 0

  constructor(fileHeadBytes: number) {
    this.#fileHeadBytes = fileHeadBytes
  }

  /** Of the bytes to come so many are not the part's. */
  get skip(): number {
    return this.#skip
  }

  open(head: string, at: number): Refusal | null {
    if (this.parts.length === FORM_PARTS_MAX) {
      return wrong(`it has more than ${FORM_PARTS_MAX} parts`)
    }
    const read = partHead(head)
    if (isRefusal(read)) return read
    const isFile = read.filename !== null
    if (isFile) this.#files += 1
    if (this.#files > FORM_FILES_MAX) return wrong(`it has more than ${FORM_FILES_MAX} files`)
    const keepBytes = isFile ? this.#fileHeadBytes : FORM_FIELD_BYTES_MAX
    const headBytes = 2 * head.length // its names are parts of this text
    this.parts.push(new Gathering(read, at, keepBytes, headBytes))
    this.#skip = 2
    return null
  }

  take(data: Buffer): Refusal | null {
    const part = this.parts.at(-1)
    const own = data.subarray(Math.min(this.#skip, data.length))
    this.#skip -= data.length - own.length
    part?.take(own)
    if (part?.head.filename !== null) return null
    this.#fieldBytes += own.length
    if (part.bytes > FORM_FIELD_BYTES_MAX) {
      return wrong(`fields may have up to ${FORM_FIELD_BYTES_MAX} bytes`)
    }
    if (this.#fieldBytes <= FORM_FIELDS_BYTES_MAX) return null
    return wrong(`its fields may have up to ${FORM_FIELDS_BYTES_MAX} bytes together`)
  }

  get memoryBytes(): number {
    return this.parts.reduce((sum, part) => sum + part.memoryBytes, 0)
  }

  form(): Form {
    return { ok: true, parts: this.parts.map((part) => part.part()) }
  }
}

/** Nothing but a boundary and a charset: what else is there could be another boundary to others. */
const FORM_TYPE =
  /^multipart\/form-data(?:\s*;\s*(?:boundary|charset)=(?:"[^"\\\r\n]*"|[^\s;"]+))*\s*$/i

type Place = 'start' | 'head' | 'data' | 'after' | 'rest'

/** One step in the bytes from `at`: where to go on; `at` itself = more bytes are needed. */
type Step = (bytes: Buffer, at: number) => number | Refusal

class Scan implements FormScan {
  readonly endBytes: number
  #delimiter: Buffer
  #place: Place = 'start'
  #gathered: Gathered
  /** Bytes that were not understood yet, and where they are in the body. */
  #carry: Buffer = NOTHING
  #offset = 0
  #tail = ''
  #refusal: Refusal | null = null
  #steps: Readonly<Record<Place, Step>> = {
    start: (bytes, at) => this.#start(bytes, at),
    head: (bytes, at) => this.#head(bytes, at),
    data: (bytes, at) => this.#data(bytes, at),
    after: (bytes, at) => this.#after(bytes, at),
    rest: (bytes, at) => this.#rest(bytes, at),
  }

  constructor(boundary: string, fileHeadBytes: number) {
    this.#delimiter = Buffer.from(`\r\n--${boundary}`)
    this.endBytes = this.#delimiter.length + 4
    this.#gathered = new Gathered(fileHeadBytes)
  }

  get keptBytes(): number {
    return this.#gathered.memoryBytes
  }

  forget(): void {
    this.#gathered = new Gathered(0)
    this.#carry = NOTHING
  }

  #start(bytes: Buffer, at: number): number | Refusal {
    const first = Buffer.concat([this.#delimiter.subarray(2), Buffer.from('\r\n')])
    const seen = bytes.subarray(at, at + first.length)
    if (!first.subarray(0, seen.length).equals(seen))
      return wrong('it must begin with its boundary')
    if (seen.length < first.length) return at
    this.#place = 'head'
    return at + first.length
  }

  #head(bytes: Buffer, at: number): number | Refusal {
    const look = bytes.subarray(at, at + FORM_HEAD_BYTES_MAX)
    const end = look.indexOf(HEAD_END)
    if (end < 0) {
      if (look.length < FORM_HEAD_BYTES_MAX) return at
      return wrong('the headers of a part are too long, or not there')
    }
    const start = this.#offset + at + end + HEAD_END.length
    const refusal = this.#gathered.open(look.toString('utf8', 0, end), start)
    this.#place = 'data'
    return refusal ?? at + end + 2
  }

  /** Some read a boundary behind any line end, and none where a part's data would begin with it. */
  #data(bytes: Buffer, at: number): number | Refusal {
    const end = bytes.indexOf(this.#delimiter, at)
    const boundary = bytes.indexOf(this.#delimiter.subarray(2), at)
    const isBare = boundary >= 0 && boundary !== end + 2
    if (isBare || (end >= 0 && end < at + this.#gathered.skip)) {
      return wrong('a part has its boundary inside')
    }
    const until = end < 0 ? Math.max(at, bytes.length - this.#delimiter.length + 1) : end
    const refusal = this.#gathered.take(bytes.subarray(at, until))
    if (refusal !== null || end < 0) return refusal ?? until
    this.#place = 'after'
    return end + this.#delimiter.length
  }

  #after(bytes: Buffer, at: number): number | Refusal {
    if (bytes.length - at < 2) return at
    const next = bytes.toString('latin1', at, at + 2)
    if (next !== '--' && next !== '\r\n') return wrong('a part has its boundary inside')
    this.#place = next === '--' ? 'rest' : 'head'
    return at + 2
  }

  #rest(bytes: Buffer, at: number): number | Refusal {
    this.#tail += bytes.toString('latin1', at, at + 3)
    return '\r\n'.startsWith(this.#tail) ? bytes.length : wrong('something follows its end')
  }

  /** How many of the bytes were understood; null = they are refused. */
  #run(bytes: Buffer): number | null {
    let at = 0
    for (;;) {
      const next = this.#steps[this.#place](bytes, at)
      if (typeof next !== 'number') {
        this.#refusal = next
        return null
      }
      if (next === at) break
      at = next
    }
    this.#offset += at
    return at
  }

  push(chunk: Buffer): Refusal | null {
    if (this.#refusal !== null) return this.#refusal
    const carried = this.#carry.length
    let rest = chunk
    if (carried > 0) {
      const joined = Buffer.concat([this.#carry, chunk.subarray(0, LOOK_BYTES)])
      const used = this.#run(joined)
      if (used === null) return this.#refusal
      if (chunk.length <= LOOK_BYTES) {
        this.#carry = joined.subarray(used)
        return null
      }
      rest = chunk.subarray(used - carried)
    }
    const used = this.#run(rest)
    if (used !== null) this.#carry = Buffer.from(rest.subarray(used))
    return this.#refusal
  }

  end(): Form | Refusal {
    if (this.#refusal !== null) return this.#refusal
    const isWhole = this.#place === 'rest' && this.#tail !== '\r'
    return isWhole ? this.#gathered.form() : wrong('it has no end')
  }

  soFar(): Form {
    const { ok, parts } = this.#gathered.form()
    const mayGoOn = parts.at(-1)?.filename === null
    return { ok, parts: mayGoOn ? parts.slice(0, -1) : parts }
  }
}

/**
 * Reads a body of multipart/form-data, which is forwarded as it came. Strict where providers
 * differ, so that none reads another form than we do: nothing before the first delimiter or after
 * the last, no header twice, no name twice in one part, no transfer encoding, no other charset.
 * Keeps fields, and of each file its first `fileHeadBytes`. Linear in the body, wherever it is cut;
 * copies of a chunk no more than LOOK_BYTES and what is kept. Never throws.
 */
export function makeFormScan(contentType: string, fileHeadBytes: number): FormScan | Refusal {
  if (!FORM_TYPE.test(contentType)) return wrong('its content-type header is odd')
  const boundary = boundaryOf(contentType)
  return typeof boundary === 'string' ? new Scan(boundary, fileHeadBytes) : boundary
}

/** Reads a form that is whole. */
export function readForm(raw: Buffer, contentType: string, fileHeadBytes: number): Form | Refusal {
  const scan = makeFormScan(contentType, fileHeadBytes)
  if (isRefusal(scan)) return scan
  return scan.push(raw) ?? scan.end()
}
