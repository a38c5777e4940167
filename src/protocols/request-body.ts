import { isUtf8 } from 'node:buffer'
import { refuse, type Refusal } from '../kernel/errors.ts'
import { JSON_DEPTH_MAX, JSON_NODES_MAX, JSON_VALUES_MAX } from '../kernel/limits/requests.ts'
import { isObject, type JsonObject } from './json.ts'
import { shapeOf, visitMembers, withPlainKeys } from './json-scan.ts'

const tooMany = (): Refusal =>
  refuse(
    'request_too_large',
    `The body has more than ${JSON_NODES_MAX} objects, arrays and members, ` +
      `or more than ${JSON_VALUES_MAX} values.`,
  )

export interface ParsedBody {
  readonly ok: true
  readonly body: unknown
}

const tooDeep = (): Refusal =>
  refuse('invalid_json', `The body nests deeper than ${JSON_DEPTH_MAX} levels.`)

/**
 * Parses a request body. Refuses what is not UTF-8 JSON, nests deeper than JSON_DEPTH_MAX, has
 * more in it than JSON_NODES_MAX or JSON_VALUES_MAX (before anything is parsed), or
 * names one of `single` twice: providers may read the first where we read the last. Inside the
 * values of `single` no object may repeat a key either. Linear in the body. Never throws.
 */
export function parseBody(raw: Buffer, single: ReadonlySet<string>): ParsedBody | Refusal {
  if (raw.length === 0) return refuse('invalid_json', 'The body is empty; send a JSON object.')
  if (!isUtf8(raw)) return refuse('invalid_json', 'The body is not valid UTF-8.')
  const { depth, members, nodes, values, escapedKeys } = shapeOf(raw)
  if (depth > JSON_DEPTH_MAX) return tooDeep()
  if (nodes > JSON_NODES_MAX || values > JSON_VALUES_MAX) return tooMany()
  let body: unknown
  try {
    body = JSON.parse((escapedKeys ? withPlainKeys(raw) : raw).toString('utf8'))
  } catch {
    return refuse('invalid_json', 'The body is not valid JSON.')
  }
  // JSON.parse keeps one member of a name: where it kept all, no key is there twice.
  if (!isObject(body) || countMembers(body) === members) return { ok: true, body }
  const [repeated] = findDuplicateKeys(raw, body, single)
  if (repeated === undefined) return { ok: true, body }
  const where = repeated.inside
    ? `inside "${repeated.key}" an object repeats a key`
    : `"${repeated.key}" is there twice`
  return refuse('invalid_request', `The body is ambiguous: ${where}. Send each key once.`)
}

export interface DuplicateKey {
  /** The top-level key. */
  readonly key: string
  /** The key itself is there once, but an object inside its value repeats one. */
  readonly inside: boolean
}

/**
 * Top-level keys out of `single` that `raw` names more than once, or in whose values an object at
 * any depth repeats a key. `body` is what JSON.parse made of `raw`.
 */
export function findDuplicateKeys(
  raw: Buffer,
  body: JsonObject,
  single: ReadonlySet<string>,
): DuplicateKey[] {
  const seen = new Set<string>()
  const repeated = new Map<string, DuplicateKey>()
  visitMembers(raw, 0, ({ key, valueStart, valueEnd }) => {
    if (!single.has(key)) return
    if (seen.has(key)) repeated.set(key, { key, inside: false })
    else if (shapeOf(raw, valueStart, valueEnd).members !== countMembers(body[key])) {
      repeated.set(key, { key, inside: true })
    }
    seen.add(key)
  })
  return [...repeated.values()]
}

function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const values: readonly unknown[] = Array.isArray(value) ? value : Object.values(value)
  let members = Array.isArray(value) ? 0 : values.length
  for (const each of values) {
    if (typeof each === 'object') members += countMembers(each)
  }
  return members
}

/** Whether an object somewhere in `value` has the key; null = nested deeper than allowed. */
export function hasKeyWithin(
  value: unknown,
  key: string,
  depthLeft = JSON_DEPTH_MAX,
): boolean | null {
  if (typeof value !== 'object' || value === null) return false
  if (depthLeft === 0) return null
  let found = Object.hasOwn(value, key)
  const values: unknown[] = Object.values(value)
  for (const each of values) {
    const inner = hasKeyWithin(each, key, depthLeft - 1)
    if (inner === null) return null
    found ||= inner
  }
  return found
}

/** Whether a parsed body nests deeper than JSON_DEPTH_MAX. */
export const nestsTooDeep = (value: unknown): boolean => hasKeyWithin(value, '') === null

/**
 * A top-level key that equals one of `known` but for its case. Some servers match keys without
 * regard to case, so such a key could say another limit than the one we read.
 */
export function findMiscasedKey(body: JsonObject, known: ReadonlySet<string>): string | null {
  for (const key of Object.keys(body)) {
    if (known.has(key) || key.length > 64) continue
    if (known.has(key.toUpperCase().toLowerCase())) return key
  }
  return null
}
