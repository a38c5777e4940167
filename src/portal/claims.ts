import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Claims } from '../access/claims/claims.ts'
import type { Looked } from '../access/claims/judge.ts'
import type { Pressed } from '../access/claims/press.ts'
import { isPage, isToken, newPage } from '../access/claims/token.ts'
import type { Reload } from '../access/reload.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import { CLAIM_FORM_BYTES_MAX, CLAIM_MISSES_PER_S_MAX } from '../kernel/limits/access.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { PAGE_HEADERS, pages } from './claim-page.ts'

export interface ClaimPageDeps {
  readonly claims: Claims
  /** Loads a key whose secret was replaced. */
  readonly reload: Reload
  /** Where customers send requests; null = not known. */
  readonly baseUrl: () => string | null
  readonly clock: Clock
  readonly ids: Ids
  readonly log: Log
}

interface Page {
  readonly status: number
  readonly html: string
}

/**
 * Guesses are bounded: of the links that nobody made, so many a second are told that they are
 * unknown, the others that there is too much to do. Who has a good one is never kept out.
 */
function makeMisses(clock: Clock) {
  let second = -1
  let count = 0
  /** Answers whether it is one too many. */
  return (): boolean => {
    const now = Math.floor(clock.monotonicMs() / 1000)
    if (now !== second) [second, count] = [now, 0]
    count += 1
    return count > CLAIM_MISSES_PER_S_MAX
  }
}

const UNKNOWN: Page = { status: 404, html: pages.unknown() }
const BUSY: Page = { status: 429, html: pages.busy() }

function shownOf(looked: Looked, ids: Ids): Page {
  switch (looked.state) {
    case 'open': {
      const { claim, expiresAtMs } = looked
      return { status: 200, html: pages.open(claim.limits.name, newPage(ids), expiresAtMs) }
    }
    case 'claimed':
      return { status: 410, html: pages.claimed(looked.claim.claimedAtMs) }
    case 'expired':
      return { status: 410, html: pages.expired() }
    case 'unknown':
      return UNKNOWN
  }
}

function pressedOf(pressed: Pressed, baseUrl: string | null): Page {
  switch (pressed.state) {
    case 'revealed': {
      const { key, secret, replaced } = pressed
      return { status: 200, html: pages.revealed(key.limits.name, secret, baseUrl, replaced) }
    }
    case 'claimed':
      return { status: 410, html: pages.claimed(pressed.claim.claimedAtMs) }
    case 'expired':
      return { status: 410, html: pages.expired() }
    case 'revoked':
      return { status: 410, html: pages.revoked() }
    case 'unknown':
      return UNKNOWN
  }
}

/** The name of the page that was pressed, out of its form; '' = none that we gave. */
const pageIn = ({ body }: FastifyRequest): string =>
  (typeof body === 'string' ? new URLSearchParams(body).get('page') : null) ?? ''

function tokenIn({ params }: FastifyRequest): string {
  const has = typeof params === 'object' && params !== null && 'token' in params
  return has && typeof params.token === 'string' ? params.token : ''
}

const answer = (reply: FastifyReply, { status, html }: Page): FastifyReply =>
  reply.code(status).headers(PAGE_HEADERS).send(html)

function makeHandlers({ claims, reload, baseUrl, clock, ids, log }: ClaimPageDeps) {
  const isOneTooMany = makeMisses(clock)

  /** What a fault looks like; the log gets the rest, and never a link. */
  function fault(error: unknown, request: FastifyRequest, page: string | null): Page {
    log.error({ request_id: request.id, error: describeError(error) }, 'claim page failed')
    return { status: 503, html: pages.away(page) }
  }

  async function look(token: string): Promise<Page> {
    const looked = await claims.look(token)
    if (looked.state === 'unknown' && isToken(token) && isOneTooMany()) return BUSY
    return shownOf(looked, ids)
  }

  async function press(token: string, page: string): Promise<Page> {
    const pressed = await claims.press(token, page)
    if (pressed.state === 'unknown' && isToken(token) && isOneTooMany()) return BUSY
    if (pressed.state === 'revealed' && pressed.replaced) {
      const { id, accountId } = pressed.key
      // The sweeps load it within seconds where this fails.
      if (accountId !== null) await reload(accountId, id).catch(() => undefined)
    }
    return pressedOf(pressed, baseUrl())
  }

  return {
    get: async (request: FastifyRequest): Promise<Page> =>
      look(tokenIn(request)).catch((error: unknown) => fault(error, request, null)),
    post: async (request: FastifyRequest): Promise<Page> => {
      const given = pageIn(request)
      const page = isPage(given) ? given : newPage(ids)
      return press(tokenIn(request), page).catch((error: unknown) => fault(error, request, page))
    },
  }
}

/**
 * `GET /claim/:token` shows a button and changes nothing, as link previews and mail scanners
 * follow links; `POST` reveals the key, once. Without script. Source: design §8 (claim).
 */
export function claimPlugin(app: FastifyInstance, deps: ClaimPageDeps): void {
  const { get, post } = makeHandlers(deps)
  app.removeAllContentTypeParsers()
  const options = { parseAs: 'string', bodyLimit: CLAIM_FORM_BYTES_MAX } as const
  app.addContentTypeParser<string>('*', options, (_request, body, done) => {
    done(null, body)
  })
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const status = error.statusCode ?? 500
    if (status >= 500) {
      const fields = { request_id: request.id, error: describeError(error) }
      deps.log.error(fields, 'claim page failed')
    }
    return answer(reply, status < 500 ? { ...UNKNOWN, status } : { status, html: pages.away(null) })
  })
  app.route({
    method: ['GET', 'HEAD'],
    url: '/claim/:token',
    handler: async (request, reply) => answer(reply, await get(request)),
  })
  app.post('/claim/:token', async (request, reply) => answer(reply, await post(request)))
}
