import type { IncomingHttpHeaders } from 'node:http'
import type { Authenticator, Caller } from '../access/access.ts'
import { SUBJECT_REF } from '../access/subject-ref.ts'
import type { Subject, Subjects } from '../access/subjects.ts'
import { refuse, type Refusal } from '../kernel/errors.ts'
import { SUBJECT_CHARS_MAX } from '../kernel/limits/access.ts'
import { describeError, type Log } from '../kernel/log.ts'

const BEARER = /^bearer /i

/**
 * The secret a client sent, wherever its SDK puts it. The protocol is told by the path, never by
 * which header carries the key. Source: design §2.1.
 */
export function secretOf(headers: IncomingHttpHeaders, queryKey: string | null): string | null {
  const { authorization } = headers
  if (authorization !== undefined && BEARER.test(authorization)) {
    return authorization.slice('bearer '.length).trim()
  }
  const named = headers['x-api-key'] ?? headers['x-goog-api-key']
  return typeof named === 'string' ? named : queryKey
}

const INVALID = refuse(
  'invalid_api_key',
  'Invalid API key. Send a valid Farebox key as "Authorization: Bearer fb_…" or "x-api-key".',
)

export interface AuthenticateDeps {
  readonly authenticator: Authenticator
  readonly subjects: Subjects
  readonly log: Log
}

type Authenticated = Caller | Refusal

/** Who is calling. Answers without a promise where the key is cached. */
export function authenticate(
  deps: Pick<AuthenticateDeps, 'authenticator' | 'log'>,
  secret: string | null,
): Authenticated | Promise<Authenticated> {
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

const OWN_ACCOUNT = refuse(
  'invalid_request',
  "A client key spends its own account's credits: name no subject.",
)
const NO_SUBJECT = refuse(
  'invalid_request',
  'A backend key acts for a subject. Name it in the header x-farebox-subject.',
)
const ODD_SUBJECT = refuse(
  'invalid_request',
  `x-farebox-subject takes 1 to ${SUBJECT_CHARS_MAX} printable characters, once.`,
)

/** The subject that a request names in its header; undefined = none. */
export const subjectOf = (headers: IncomingHttpHeaders): string | readonly string[] | undefined =>
  headers['x-farebox-subject']

/**
 * For whom a caller acts: a client key for its own account, a backend key for the subject that it
 * must name. Answers without a promise where the subject is cached. Source: design §1, §8.
 */
export function actFor(
  deps: Pick<AuthenticateDeps, 'subjects' | 'log'>,
  caller: Caller,
  subject: string | readonly string[] | undefined,
): Authenticated | Promise<Authenticated> {
  if (caller.keyKind === 'client') return subject === undefined ? caller : OWN_ACCOUNT
  if (subject === undefined) return NO_SUBJECT
  if (typeof subject !== 'string' || subject.length > SUBJECT_CHARS_MAX) return ODD_SUBJECT
  if (!SUBJECT_REF.test(subject)) return ODD_SUBJECT
  const found = deps.subjects.find(subject, caller.keyId)
  if (!(found instanceof Promise)) return asSubject(caller, found)
  return found.then(
    (one) => asSubject(caller, one),
    (error: unknown) => {
      deps.log.error({ error: describeError(error) }, 'subject could not be looked up')
      return refuse('gateway_unavailable', 'Subjects cannot be checked right now. Try again.')
    },
  )
}

const actingAs = ({ accountId, accountStatus, markup, planModels, planEndpoints }: Subject) => ({
  ...{ accountId, accountStatus, markup, planModels, planEndpoints },
})

const asSubject = (caller: Caller, subject: Subject | null): Authenticated =>
  subject === null
    ? refuse('subject_not_found', 'There is no such subject. Create an account with it first.')
    : { ...caller, ...actingAs(subject) }
