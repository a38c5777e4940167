import type { IncomingHttpHeaders } from 'node:http'
import type { Authenticator, Caller } from '../access/access.ts'
import { refuse, type Refusal } from '../kernel/errors.ts'
import { describeError, type Log } from '../kernel/log.ts'

const BEARER = /^bearer +/i

/**
 * The secret a client sent, wherever its SDK puts it. The protocol is told by the path, never by
 * which header carries the key. Source: design §2.1.
 */
export function secretOf(headers: IncomingHttpHeaders, queryKey: string | null): string | null {
  const { authorization } = headers
  if (authorization !== undefined && BEARER.test(authorization)) {
    return authorization.replace(BEARER, '').trim()
  }
  const named = headers['x-api-key'] ?? headers['x-goog-api-key']
  return typeof named === 'string' ? named : queryKey
}

const INVALID = refuse(
  'invalid_api_key',
  'Invalid API key. Send a valid Farebox key as "Authorization: Bearer fb_…" or "x-api-key".',
)

/** Who is calling. Answers without a promise where the key is cached. */
export function authenticate(
  deps: { authenticator: Authenticator; log: Log },
  secret: string | null,
): Caller | Refusal | Promise<Caller | Refusal> {
  if (secret === null || secret === '') return INVALID
  const found = deps.authenticator.authenticate(secret)
  if (!(found instanceof Promise)) return found ?? INVALID
  return found.then(
    (caller) => caller ?? INVALID,
    (error: unknown) => {
      deps.log.error({ error: describeError(error) }, 'key could not be looked up')
      return refuse('gateway_unavailable', 'Keys cannot be checked right now. Try again.')
    },
  )
}
