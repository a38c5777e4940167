import { refuse, type Refusal } from '../kernel/errors.ts'

const PARAMETER = /;\s*([A-Za-z*]+)=(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s;"]+))/g
/** The characters of RFC 2046, less the blank. */
const BOUNDARY = /^[0-9A-Za-z'()+_,./:=?-]{1,70}$/
const DISPOSITION = /^form-data(?:;\s*(?:name|filename\*?)=(?:"(?:[^"\\\r\n]|\\.)*"|[^\s;"]+))+$/i
const HEADER_NAME = /^[a-z0-9][a-z0-9-]*$/
const NAME = /^[A-Za-z0-9_.[\]-]{1,128}$/
/** Parts with these are bytes as they are; base64 and its like no provider decodes. */
const PLAIN_ENCODINGS: ReadonlySet<string> = new Set(['7bit', '8bit', 'binary'])

/** A form that one of its readers may read otherwise, or not at all. */
export const wrong = (what: string): Refusal =>
  refuse('invalid_request', `The form could not be read: ${what}.`)

const parametersOf = (value: string): [string, string][] =>
  [...value.matchAll(PARAMETER)].map(([, name = '', quoted, bare]) => [
    name.toLowerCase(),
    quoted ?? bare ?? '',
  ])

/** The boundary that a content type names; of others than forms too. */
export function boundaryOf(contentType: string): string | Refusal {
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
    if (at === -1 || !HEADER_NAME.test(name) || headers.has(name) || /[\r\n\0]/.test(line))
      return null
    headers.set(name, line.slice(at + 1).trim())
  }
  return headers
}

/** What the headers of a part say of it. `filename` null = a field. */
export interface PartHead {
  readonly name: string
  readonly filename: string | null
}

/** Reads the headers of a part; whatever a provider might read otherwise is refused. */
export function partHead(head: string): PartHead | Refusal {
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
  return { name, filename: isFile ? (filenames[0] ?? '') : null }
}
