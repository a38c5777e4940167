import type { IncomingHttpHeaders } from 'node:http'
import { refuse, type Refusal } from '../kernel/errors.ts'
import { JSON_DEPTH_MAX } from '../kernel/limits.ts'
import type { Protocol, RequestView } from '../protocols/protocol.ts'

const OPEN = new Set([0x7b, 0x5b])
const CLOSE = new Set([0x7d, 0x5d])
const QUOTE = 0x22
const BACKSLASH = 0x5c

/**
 * Whether brackets nest deeper than `max`, by bytes and before parsing: JSON.parse recurses.
 * Linear; brackets inside strings do not count.
 */
export function nestsDeeper(raw: Buffer, max: number): boolean {
  let depth = 0
  for (let at = 0; at < raw.length; at += 1) {
    const byte = raw[at] ?? 0
    if (byte === QUOTE) {
      at = endOfString(raw, at + 1)
    } else if (OPEN.has(byte)) {
      depth += 1
      if (depth > max) return true
    } else if (CLOSE.has(byte)) {
      depth -= 1
    }
  }
  return false
}

/** Index of the closing quote of a string that starts at `from`. Jumps, so text costs little. */
function endOfString(raw: Buffer, from: number): number {
  let quote = raw.indexOf(QUOTE, from)
  while (quote > 0) {
    let slashes = 0
    while (raw[quote - 1 - slashes] === BACKSLASH) slashes += 1
    if (slashes % 2 === 0 || quote - slashes < from) return quote
    quote = raw.indexOf(QUOTE, quote + 1)
  }
  return raw.length
}

/** The one reading of a body: bytes → what the protocol sees in it, or why not. */
export function readBody(
  protocol: Protocol,
  raw: Buffer,
  headers: IncomingHttpHeaders,
): RequestView | Refusal {
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding !== '' && encoding.toLowerCase() !== 'identity') {
    return refuse(
      'unsupported_encoding',
      'Request bodies must not be compressed: remove the content-encoding header.',
    )
  }
  if (raw.length === 0) return refuse('invalid_json', 'The request body is empty; send JSON.')
  if (nestsDeeper(raw, JSON_DEPTH_MAX)) {
    return refuse('invalid_json', `The request body nests deeper than ${JSON_DEPTH_MAX} levels.`)
  }
  let body: unknown
  try {
    body = JSON.parse(raw.toString('utf8'))
  } catch {
    return refuse('invalid_json', 'The request body is not valid JSON.')
  }
  return protocol.read(body, raw.length)
}
