import { refuse, type Refusal } from '../../kernel/errors.ts'
import { MODEL_CHARS_MAX } from '../../kernel/limits/models.ts'

export const HTTP_PREFIX = '/up/'

/** Where below its upstream's base path a request goes. */
export interface HttpPath {
  readonly ok: true
  /** As the client wrote it; begins with "/", no query. */
  readonly path: string
  /** Decoded once: what prices and keys match against. */
  readonly plain: string
}

const invalid = (message: string): Refusal => refuse('invalid_request', message)
const LEAVES = invalid('The path must not contain "." or ".." segments, nor hide them.')
const UNCLEAR = invalid('The path contains characters that must be percent-encoded, or "//".')

/** What a server may take for a way up: dots, also before ";", split by either kind of slash. */
const isUp = (segment: string): boolean =>
  segment.split(/[/\\]/).some((part) => /^\.{1,2}(?:;|$)/.test(part.trim()))

/** Decoding once more would show a dot, a slash or an end of string: some servers do. */
const DOUBLY_ENCODED = /%(?:2e|2f|5c|25|00)/i

function decode(segment: string): string | null {
  try {
    return decodeURIComponent(segment)
  } catch {
    return null
  }
}

/**
 * Cuts `/up/<name>` off a request's URL as it came and checks what is left: after this nothing that
 * a server could read as a way out of the base path remains, whichever slashes it knows and however
 * often it decodes. Absolute URLs are refused.
 */
export function pathBelow(url: string, name: string): HttpPath | Refusal {
  const [whole = ''] = url.split('?', 1)
  const prefix = `${HTTP_PREFIX}${name}`
  if (!whole.startsWith(prefix)) return refuse('not_found', 'There is no such API here.')
  const path = whole.slice(prefix.length)
  if (path === '') return { ok: true, path: '', plain: '/' }
  if (!path.startsWith('/')) return refuse('not_found', 'There is no such API here.')
  if (/[^\x21-\x7e]|[\\#<>"{}|^`]|\/\//.test(path)) return UNCLEAR
  if (path.length > MODEL_CHARS_MAX - 16) return invalid('The path is too long.')
  const plain: string[] = []
  for (const segment of path.split('/')) {
    const decoded = decode(segment)
    if (decoded === null || /\p{Cc}/u.test(decoded)) return UNCLEAR
    if (isUp(decoded) || DOUBLY_ENCODED.test(decoded)) return LEAVES
    plain.push(decoded)
  }
  return { ok: true, path, plain: plain.join('/') }
}
