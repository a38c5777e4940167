import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { refusalOfFault, refusalOfFramework, sendRefusal } from '../access/http/answers.ts'
import type { Clock } from '../kernel/clock.ts'
import { refuse } from '../kernel/errors.ts'
import { STRIPE_EVENT_BYTES_MAX } from '../kernel/limits/stripe.ts'
import type { Log } from '../kernel/log.ts'
import { readEvent, type IncomingEvent } from './event.ts'
import type { BillingHooks } from './hooks.ts'
import { WEBHOOK_API_VERSION } from './handled-events.ts'
import type { Inbox } from './inbox.ts'
import { checkSignature } from './signature.ts'

export const WEBHOOK_PATH = '/webhooks/stripe'

export interface WebhookDeps {
  /** null = no Stripe key is set. */
  readonly inbox: Pick<Inbox, 'store'> | null
  /** Signing secrets, any of which may have been used; empty = deliveries are refused. */
  readonly secrets: readonly string[]
  readonly mode: 'test' | 'live'
  readonly hooks: Pick<BillingHooks, 'delivery'>
  readonly clock: Clock
  readonly log: Log
}

/** Why an event that was signed for us is none of ours; it is kept and not worked on. */
export function whyIgnored(event: IncomingEvent, mode: 'test' | 'live'): string | null {
  if (event.livemode !== (mode === 'live'))
    return `an event of ${mode === 'live' ? 'test' : 'live'} mode`
  return event.stripeAccount === null ? null : 'an event of a connected account'
}

const OFF = refuse(
  'unsupported',
  'Stripe is not set up here: set STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET.',
)
const UNSIGNED = refuse('invalid_request', 'The Stripe-Signature header does not fit this body.')
const NO_EVENT = refuse('invalid_json', 'The body is not an event of Stripe.')

/** More than endpoints have versions; past it nobody is told of another. */
const VERSIONS_MAX = 16

/** Says once that events come in another version: they are taken, for objects are read anew. */
function makeVersionWatch(log: Log): (event: IncomingEvent) => void {
  const told = new Set<string>([WEBHOOK_API_VERSION])
  return ({ apiVersion: version }) => {
    if (version === null || told.has(version) || told.size > VERSIONS_MAX) return
    told.add(version)
    const fields = { version, ours: WEBHOOK_API_VERSION }
    log.warn(fields, 'Stripe sends events in another version: see farebox doctor')
  }
}

/** Answers 2xx for what is in Postgres and for nothing else. Source: design §7. */
function makeWebhook(deps: WebhookDeps) {
  const { inbox, secrets, mode, hooks, clock, log } = deps
  const watchVersion = makeVersionWatch(log)

  async function keep(
    to: Pick<Inbox, 'store'>,
    text: string,
    event: IncomingEvent,
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    const ignored = whyIgnored(event, mode)
    try {
      const delivery = { event, payload: text, source: 'webhook', ignored } as const
      const { isNew } = await to.store(delivery, clock.now())
      hooks.delivery(ignored !== null ? 'ignored' : isNew ? 'stored' : 'duplicate')
    } catch (error) {
      hooks.delivery('not_stored')
      throw error
    }
    return reply.code(200).send({ received: true })
  }

  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    if (inbox === null || secrets.length === 0) return sendRefusal(request, reply, OFF)
    const body = request.body instanceof Uint8Array ? request.body : new Uint8Array()
    const header = request.headers['stripe-signature']
    const signature = typeof header === 'string' ? header : undefined
    const fault = checkSignature(body, signature, secrets, clock.now())
    if (fault !== null) {
      hooks.delivery('bad_signature')
      log.warn({ request_id: request.id, fault, bytes: body.length }, 'Stripe signature refused')
      return sendRefusal(request, reply, UNSIGNED)
    }
    const text = Buffer.from(body).toString('utf8')
    const event = readEvent(text)
    if (event === null) {
      hooks.delivery('malformed')
      return sendRefusal(request, reply, NO_EVENT)
    }
    watchVersion(event)
    return keep(inbox, text, event, reply)
  }
}

/** `POST /webhooks/stripe`, on an instance of its own: the body stays as it was signed. */
export function webhookPlugin(app: FastifyInstance, deps: WebhookDeps): void {
  app.removeAllContentTypeParsers()
  const options = { parseAs: 'buffer', bodyLimit: STRIPE_EVENT_BYTES_MAX } as const
  app.addContentTypeParser<Buffer>('*', options, (_request, body, done) => {
    done(null, body)
  })
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const refusal = refusalOfFramework(error) ?? refusalOfFault(error, request.id, deps.log)
    return sendRefusal(request, reply, refusal)
  })
  app.post(WEBHOOK_PATH, makeWebhook(deps))
}
