import { refuse, type Refusal } from '../kernel/errors.ts'
import {
  FORM_FIELD_BYTES_MAX,
  FORM_HEAD_BYTES_MAX,
  FORM_PARTS_MAX,
} from '../kernel/limits-media.ts'

/** One part of a form. `data` is a view of the body, never a copy. */
export interface FormPart {
  readonly name: string
  /** null = a field. */
  readonly filename: string | null
  readonly data: Buffer
}

export interface Form {
  readonly ok: true
  readonly parts: readonly FormPart[]
}

const PARAMETER = /;\s*([A-Za-z*]+)=(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s;"]+))/g
/** The characters of RFC 2046, less the blank. */
const BOUNDARY = /^[0-9A-Za-z'()+_,./:=?-]{1,70}$/
const DISPOSITION = /^form-data(?:;\s*(?:name|filename\*?)=(?:"(?:[^"\\\r\n]|\\.)*"|[^\s;"]+))+$/i
const NAME = /^[A-Za-z0-9_.[\]-]{1,128}$/
const HEAD_END = Buffer.from('\r\n\r\n')
/** Parts with these are bytes as they are; base64 and its like no provider decodes. */
const PLAIN_ENCODINGS: ReadonlySet<string> = new Set(['7bit', '8bit', 'binary'])

const wrong = (what: string): Refusal =>
  refuse('invalid_request', `The form could not be read: ${what}.`)

const parametersOf = (value: string): [string, string][] =>
  [...value.matchAll(PARAMETER)].map(([, name = '', quoted, bare]) => [
    name.toLowerCase(),
    quoted ?? bare ?? '',
  ])

function boundaryOf(contentType: string): string | Refusal {
  const parameters = parametersOf(contentType)
  const [boundary, ...others] = parameters.filter(([name]) => name === 'boundary')
  const charset = parameters.find(([name]) => name === 'charset')?.[1].toLowerCase() ?? 'utf-8'
  if (charset !== 'utf-8' && charset !== 'utf8') return wrong('its charset must be UTF-8')
  if (boundary === undefined || others.length > 0 || !BOUNDARY.test(boundary[1])) {
    return wrong('the content-type header must name one boundary')
  }
  return boundary[1]
}

/** The headers of a part by name; null = one that is not wanted, or one that is there twice. */
function headersOf(head: string): ReadonlyMap<string, string> | null {
  const headers = new Map<string, string>()
  for (const line of head.split('\r\n')) {
    const at = line.indexOf(':')
    const name = line.slice(0, at).toLowerCase()
    if (at < 1 || headers.has(name) || /[\r\n\0]/.test(line)) return null
    headers.set(name, line.slice(at + 1).trim())
  }
  return headers
}

function partOf(head: string, data: Buffer): FormPart | Refusal {
  const headers = headersOf(head)
  const disposition = headers?.get('content-disposition') ?? ''
  if (headers === null || !DISPOSITION.test(disposition)) return wrong('a part has odd headers')
  const encoding = headers.get('content-transfer-encoding')?.toLowerCase() ?? 'binary'
  if (!PLAIN_ENCODINGS.has(encoding)) return wrong(`parts must not be in ${encoding.slice(0, 32)}`)
  const parameters = parametersOf(disposition)
  const values = (name: string): string[] =>
    parameters.filter(([each]) => each === name).map(([, value]) => value)
  const [names, filenames] = [values('name'), values('filename')]
  const [name = ''] = names
  if (names.length !== 1 || filenames.length > 1 || values('filename*').length > 1) {
    return wrong('a part says its name twice')
  }
  if (!NAME.test(name)) return wrong('a part has an odd name')
  const isFile = filenames.length > 0 || values('filename*').length > 0
  if (!isFile && data.length > FORM_FIELD_BYTES_MAX) {
    return wrong(`fields may have up to ${FORM_FIELD_BYTES_MAX} bytes`)
  }
  return { name, filename: isFile ? (filenames[0] ?? '') : null, data }
}

/**
 * Reads a body of multipart/form-data, which is forwarded as it came. Strict where providers
 * differ, so that none reads another form than we do: nothing before the first delimiter or after
 * the last, no header twice, no name twice in one part, no transfer encoding, no other charset.
 * Linear in the body, without copying it. Never throws.
 */
export function readForm(raw: Buffer, contentType: string): Form | Refusal {
  const boundary = boundaryOf(contentType)
  if (typeof boundary !== 'string') return boundary
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  if (!raw.subarray(0, delimiter.length).equals(Buffer.from(`--${boundary}\r\n`))) {
    return wrong('it must begin with its boundary')
  }
  const parts: FormPart[] = []
  let at = delimiter.length
  for (;;) {
    if (parts.length === FORM_PARTS_MAX) return wrong(`it has more than ${FORM_PARTS_MAX} parts`)
    const headEnd = raw.subarray(at, at + FORM_HEAD_BYTES_MAX).indexOf(HEAD_END)
    if (headEnd < 0) return wrong('the headers of a part are too long, or not there')
    const start = at + headEnd + HEAD_END.length
    // The line end of an empty part's headers is that of its delimiter too.
    const end = raw.indexOf(delimiter, start - 2)
    if (end < 0) return wrong('it has no end')
    const head = raw.toString('utf8', at, at + headEnd)
    const part = partOf(head, raw.subarray(start, Math.max(start, end)))
    if ('ok' in part) return part
    parts.push(part)
    at = end + delimiter.length + 2
    const next = raw.toString('latin1', at - 2, at)
    if (next === '--') break
    if (next !== '\r\n') return wrong('a part has its boundary inside')
  }
  const rest = raw.toString('latin1', at, at + 3)
  return rest === '' || rest === '\r\n' ? { ok: true, parts } : wrong('something follows its end')
}

/**
 * The fields of a form as a body would have them, for readers of typed fields: numbers and
 * booleans as such. A field of `single` that is there twice, is a file, or says its value in
 * anything but printable ASCII is refused: another reader could see another value.
 */
export function fieldsOf(
  { parts }: Form,
  single: ReadonlySet<string>,
): { ok: true; body: Readonly<Record<string, unknown>> } | Refusal {
  const body: Record<string, unknown> = {}
  for (const { name, filename, data } of parts) {
    const plain = name.replace(/\[.*$/, '').toLowerCase()
    if (!single.has(plain)) {
      if (filename === null && !name.includes('[')) body[name] = data.toString('utf8')
      continue
    }
    const text = data.toString('latin1')
    if (name !== plain || filename !== null || Object.hasOwn(body, name)) {
      return wrong(`'${plain}' must be there once, as a plain field`)
    }
    if (!/^[\x20-\x7e]{1,256}$/.test(text))
      return wrong(`'${plain}' is empty or has odd characters`)
    body[name] = valueOf(text)
  }
  return { ok: true, body }
}

const LITERALS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['false', false],
])

/** As servers read a field for a number or a truth; what is neither stays text. */
function valueOf(text: string): string | number | boolean {
  const literal = LITERALS.get(text.toLowerCase())
  if (literal !== undefined) return literal
  return /^\d{1,9}$/.test(text) ? Number(text) : text
}

/**
 * The bytes of a body between its boundaries, which a client draws anew for each try: two tries of
 * one form are alike in these. A body that is no form is one piece.
 */
export function piecesOf(raw: Buffer, contentType: string | undefined): Buffer[] {
  const boundary = /^multipart\//i.test(contentType ?? '') ? boundaryOf(contentType ?? '') : null
  if (typeof boundary !== 'string') return [raw]
  const delimiter = Buffer.from(`--${boundary}`)
  const pieces: Buffer[] = []
  let from = 0
  for (let at = raw.indexOf(delimiter); at !== -1; at = raw.indexOf(delimiter, from)) {
    pieces.push(raw.subarray(from, at), SEPARATOR)
    from = at + delimiter.length
  }
  return [...pieces, raw.subarray(from)]
}

const SEPARATOR = Buffer.from('--')
