import { JSON_NODES_MAX, JSON_VALUES_MAX } from '../kernel/limits/requests.ts'

/**
 * Where things are in the bytes of a JSON text, for edits that keep the client's bytes and for
 * what JSON.parse forgets (repeated keys). The text is known to be valid; on anything else the
 * functions still end, in linear time, with some answer. Source: providers.md §1.
 */

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const COMMA = 0x2c
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d

/** One member of an object: `key: value`, as byte offsets into the text. */
export interface Member {
  readonly key: string
  readonly keyStart: number
  readonly valueStart: number
  /** Exclusive, without white space. */
  readonly valueEnd: number
}

export interface ObjectSpan {
  /** Offset of `{` and of its `}`. */
  readonly start: number
  readonly end: number
  readonly empty: boolean
}

const isSpace = (byte: number | undefined): boolean =>
  byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

function skipSpace(raw: Buffer, from: number): number {
  let at = from
  while (isSpace(raw[at])) at += 1
  return at
}

/** Offset behind the closing quote of the string that opens at `from`. */
function skipString(raw: Buffer, from: number): number {
  for (let at = from + 1; at < raw.length; at += 1) {
    const byte = raw[at]
    if (byte === QUOTE) return at + 1
    if (byte === BACKSLASH) at += 1
  }
  return raw.length
}

/** Offset behind the value that begins at `from`. */
function skipValue(raw: Buffer, from: number): number {
  const first = raw[from]
  if (first === QUOTE) return skipString(raw, from)
  let depth = 0
  for (let at = from; at < raw.length; at += 1) {
    const byte = raw[at]
    if (byte === QUOTE) at = skipString(raw, at) - 1
    else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth += 1
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      if (depth === 0) return at
      depth -= 1
      if (depth === 0) return at + 1
    } else if (depth === 0 && (byte === COMMA || isSpace(byte))) return at
  }
  return raw.length
}

/** The key between its quotes, unescaped as JSON.parse does it. */
function decodeKey(raw: Buffer, start: number, end: number): string {
  const inner = raw.toString('utf8', start + 1, end - 1)
  if (!inner.includes('\\')) return inner
  try {
    const key: unknown = JSON.parse(raw.toString('utf8', start, end))
    return typeof key === 'string' ? key : inner
  } catch {
    return inner
  }
}

/**
 * Visits the members of the object that begins at or after `from`, in their order, repeated keys
 * each time. null = there is no object.
 */
export function visitMembers(
  raw: Buffer,
  from: number,
  visit: (member: Member) => void,
): ObjectSpan | null {
  const start = skipSpace(raw, from)
  if (raw[start] !== OPEN_OBJECT) return null
  let at = skipSpace(raw, start + 1)
  const empty = raw[at] !== QUOTE
  while (raw[at] === QUOTE) {
    const keyStart = at
    const keyEnd = skipString(raw, at)
    const key = decodeKey(raw, at, keyEnd)
    const colon = skipSpace(raw, keyEnd)
    if (raw[colon] !== COLON) return null
    const valueStart = skipSpace(raw, colon + 1)
    const valueEnd = skipValue(raw, valueStart)
    visit({ key, keyStart, valueStart, valueEnd })
    at = skipSpace(raw, valueEnd)
    if (raw[at] === COMMA) at = skipSpace(raw, at + 1)
  }
  return raw[at] === CLOSE_OBJECT ? { start, end: at, empty } : null
}

export interface JsonShape {
  /** Deepest nesting of objects and arrays; a scalar is 0. */
  readonly depth: number
  /** Members of all objects at all depths, repeated keys each time. */
  readonly members: number
  /** All objects and arrays, with all members of objects: what is dear to parse and to walk. */
  readonly nodes: number
  /** At least the number of all values. */
  readonly values: number
  /** Whether a key somewhere is written with an escape. */
  readonly escapedKeys: boolean
}

/**
 * Depth and size of the text in [start, end), without parsing it. Past JSON_NODES_MAX or
 * JSON_VALUES_MAX it stops: the numbers are then what was counted so far.
 */
export function shapeOf(raw: Buffer, start = 0, end = raw.length): JsonShape {
  let depth = 0
  let deepest = 0
  let members = 0
  let containers = 0
  let commas = 0
  let escapedKeys = false
  let stringStart = start
  let stringEnd = start
  for (let at = start; at < end; at += 1) {
    const byte = raw[at]
    if (byte === QUOTE) {
      stringStart = at
      stringEnd = skipString(raw, at)
      at = stringEnd - 1
    } else if (byte === COLON) {
      members += 1
      escapedKeys ||= hasEscape(raw, stringStart, stringEnd)
    } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      depth += 1
      containers += 1
      if (depth > deepest) deepest = depth
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) depth -= 1
    else if (byte === COMMA) commas += 1
    else continue
    if (containers + members > JSON_NODES_MAX || containers + commas > JSON_VALUES_MAX) break
  }
  const nodes = containers + members
  return { depth: deepest, members, nodes, values: containers + commas, escapedKeys }
}

function hasEscape(raw: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) if (raw[at] === BACKSLASH) return true
  return false
}

/**
 * The same JSON with its keys written without needless escapes. JSON.parse of V8 12.8 and later
 * can read an escaped key as another one that it met before: a client could prime it with
 * {"model":1,"max_token\\":1} and then hide "max_token\u0073" from us, not from the provider.
 * Keys that still need an escape are none of those we read. Source: nodejs/node#63785.
 */
export function withPlainKeys(raw: Buffer): Buffer {
  const parts: Buffer[] = []
  let copied = 0
  let stringStart = 0
  let stringEnd = 0
  for (let at = 0; at < raw.length; at += 1) {
    const byte = raw[at]
    if (byte === QUOTE) {
      stringStart = at
      stringEnd = skipString(raw, at)
      at = stringEnd - 1
    } else if (byte === COLON && hasEscape(raw, stringStart, stringEnd)) {
      const key = JSON.stringify(decodeKey(raw, stringStart, stringEnd))
      parts.push(raw.subarray(copied, stringStart), Buffer.from(key))
      copied = stringEnd
    }
  }
  parts.push(raw.subarray(copied))
  return Buffer.concat(parts)
}

export type Edits = ReadonlyMap<string, Buffer>

/**
 * The same text with top-level members set: values replaced where the key is there (each time it
 * is), members appended where it is not. Every other byte stays. null = not an object.
 */
export function setMembers(raw: Buffer, edits: Edits, from = 0): Buffer | null {
  const parts: Buffer[] = []
  const missing = new Map(edits)
  let copied = 0
  const span = visitMembers(raw, from, ({ key, valueStart, valueEnd }) => {
    const value = edits.get(key)
    if (value === undefined) return
    missing.delete(key)
    parts.push(raw.subarray(copied, valueStart), value)
    copied = valueEnd
  })
  if (span === null) return null
  let separator = span.empty ? '' : ','
  const appendAt = lastByteBefore(raw, span.end)
  parts.push(raw.subarray(copied, appendAt))
  for (const [key, value] of missing) {
    parts.push(Buffer.from(`${separator}${JSON.stringify(key)}:`), value)
    separator = ','
  }
  parts.push(raw.subarray(appendAt))
  return Buffer.concat(parts)
}

/** Offset behind the last byte before `end` that is not white space. */
function lastByteBefore(raw: Buffer, end: number): number {
  let at = end
  while (isSpace(raw[at - 1])) at -= 1
  return at
}
