import type { IncomingHttpHeaders } from 'node:http'
import { retryHeaders } from './retry-after.ts'

/** Header names of which one direction remembers whether they pass. */
const HEADER_NAMES_MAX = 256

/** Headers of the client that never reach an upstream. Source: providers.md §3. */
const INBOUND_DROPPED = new Set([
  'authorization',
  'x-api-key',
  'api-key',
  'cookie',
  'host',
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'content-length',
  'accept-encoding',
  'expect',
  'idempotency-key',
  'openai-organization',
  'openai-project',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'via',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
])

/**
 * Google's own headers say whose quota it is, which parts of an answer to leave out
 * (x-goog-fieldmask) and how to write it. Only the name of the client's library goes on.
 */
const GOOGLES = 'x-goog-'
const GOOGLES_PASSED = 'x-goog-api-client'

/** Headers of the upstream that never reach a client: its account, its cookies, its framing. */
const OUTBOUND_DROPPED = new Set([
  'set-cookie',
  'alt-svc',
  'strict-transport-security',
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'location', // where an upstream lives is the operator's affair; named APIs tell it anew
  'retry-after', // told anew, within bounds
  'retry-after-ms',
  'openai-organization',
  'openai-project',
  'anthropic-organization-id',
  'x-ms-deployment-name', // what the operator called it at Azure
  'server',
  'via',
])

/** Our own names mean something between us and our clients only. */
const OURS = 'x-farebox-'

const OUTBOUND_DROPPED_PREFIXES = [
  OURS,
  'x-ratelimit-',
  'anthropic-ratelimit-',
  'anthropic-priority-', // what the operator's account has committed to
  'cf-',
]

/** Names that were judged, for each direction: few come again and again. */
function remembered(judge: (name: string) => boolean): (name: string) => boolean {
  const known = new Map<string, boolean>()
  return (name) => {
    const before = known.get(name)
    if (before !== undefined) return before
    const judged = judge(name)
    if (known.size < HEADER_NAMES_MAX) known.set(name, judged)
    return judged
  }
}

const isPassedIn = remembered(
  (name) =>
    !INBOUND_DROPPED.has(name) &&
    !name.startsWith(OURS) &&
    (!name.startsWith(GOOGLES) || name === GOOGLES_PASSED),
)

const isPassedOut = remembered(
  (name) =>
    !OUTBOUND_DROPPED.has(name) &&
    !OUTBOUND_DROPPED_PREFIXES.some((prefix) => name.startsWith(prefix)),
)

/** Names that this message's own Connection header declares hop-by-hop. */
function namedByConnection(headers: IncomingHttpHeaders): ReadonlySet<string> | null {
  const connection = headers.connection
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return null
  return new Set(connection.split(',').map((name) => name.trim().toLowerCase()))
}

/**
 * What is sent upstream: the client's headers less everything that authenticates, routes or frames
 * it, plus the operator's credentials. Answered as undici's flat list [name, value, …].
 */
export function upstreamHeaders(
  incoming: IncomingHttpHeaders,
  own: readonly string[],
  ownNames: ReadonlySet<string>,
): string[] {
  const hop = namedByConnection(incoming)
  const list: string[] = ['accept-encoding', 'identity', ...own]
  for (const name in incoming) {
    if (!isPassedIn(name) || ownNames.has(name) || hop?.has(name) === true) continue
    const value = incoming[name]
    if (value === undefined) continue
    list.push(name, Array.isArray(value) ? value.join(', ') : value)
  }
  return list
}

export type OutgoingHeaders = Record<string, string | string[]>

/** What of the upstream's headers a client may see, with our request id. */
export function clientHeaders(
  upstream: IncomingHttpHeaders,
  requestId: string,
  idHeader: string,
): OutgoingHeaders {
  const hop = namedByConnection(upstream)
  const headers: OutgoingHeaders = { 'x-farebox-request-id': requestId, [idHeader]: requestId }
  for (const name in upstream) {
    if (!isPassedOut(name) || hop?.has(name) === true) continue
    const value = upstream[name]
    if (value !== undefined) headers[name] = value
  }
  return Object.assign(headers, retryHeaders(upstream))
}
