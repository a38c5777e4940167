import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { Accounts } from '../access/accounts.ts'
import type { Authenticator, Caller } from '../access/access.ts'
import { isoOrNull } from '../access/http/balance.ts'
import * as fields from '../access/http/fields.ts'
import type { DocumentedSurface } from '../access/http/openapi.ts'
import { nothing, registerSurface, route, type Route } from '../access/http/route.ts'
import type { Account } from '../access/rows.ts'
import type { Checkout } from '../billing/checkout-rows.ts'
import type { Checkouts } from '../billing/checkout.ts'
import { PLAN_INTERVALS } from '../billing/plan-lines.ts'
import { authenticate, secretOf } from '../gateway/authenticate.ts'
import { splitQuery } from '../gateway/query.ts'
import { isRefusal, refuse, type Refusal } from '../kernel/errors.ts'
import { URL_CHARS_MAX } from '../kernel/limits/stripe.ts'
import type { Log } from '../kernel/log.ts'
import { ZERO } from '../kernel/money.ts'
import { PORTAL_PREFIX } from './plugin.ts'

export interface CheckoutDeps {
  /** null = no Stripe key is set. */
  readonly checkouts: Checkouts | null
  readonly accounts: Accounts
  readonly authenticator: Authenticator
  readonly log: Log
}

export interface CheckoutSurface extends DocumentedSurface {
  readonly routes: readonly Route<Caller>[]
}

/** Nobody pays for what cannot be used. */
const FROZEN = refuse('account_frozen', 'This account is frozen. Contact its operator.')
const OFF = refuse('unsupported', 'Nothing is sold here: set STRIPE_SECRET_KEY.')
const NO_CHECKOUT = refuse('not_found', 'There is no such checkout.')

const webUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .max(URL_CHARS_MAX)

const openBody = z
  .strictObject({
    pack: z.string().min(1).max(63).optional(),
    plan: z.string().min(1).max(63).optional(),
    /** Of a plan with several prices, which; absent = its first. */
    interval: z.enum(PLAN_INTERVALS).optional(),
    price: z.string().min(1).max(250).optional(),
    success_url: webUrl,
    cancel_url: webUrl,
    /** With a backend key: for whom. Who is new gets an account. */
    subject_ref: fields.subjectRef.optional(),
    name: fields.text.optional(),
    email: z.email().max(320).optional(),
  })
  .refine(({ pack, plan }) => (pack === undefined) !== (plan === undefined), {
    error: 'name a pack or a plan',
    path: ['pack'],
  })
  .refine(({ pack, interval, price }) => pack === undefined || (interval ?? price) === undefined, {
    error: 'only a plan has several prices',
    path: ['interval'],
  })
  .refine(({ interval, price }) => interval === undefined || price === undefined, {
    error: 'name a price or interval, not both',
    path: ['interval'],
  })

const checkoutView = z.object({
  id: z.string(),
  state: z.enum(['pending', 'granted', 'failed']),
  failure: z.string().nullable(),
  item: z.object({ kind: z.enum(['pack', 'plan']), id: z.string(), price: z.string() }),
  account_id: z.string(),
  session_id: z.string().nullable(),
  url: z.string().nullable(),
  expires_at: z.string().nullable(),
})

function viewCheckout(row: Checkout): z.infer<typeof checkoutView> {
  const isOpen = row.state === 'open'
  return {
    id: row.id,
    state: row.state === 'granted' || row.state === 'failed' ? row.state : 'pending',
    failure: row.failure,
    item: { kind: row.itemKind, id: row.itemId, price: row.stripePrice },
    account_id: row.accountId,
    session_id: row.sessionId,
    url: isOpen ? row.url : null,
    expires_at: isOpen ? isoOrNull(row.expiresAtMs) : null,
  }
}

interface Buyer {
  readonly subject_ref?: string | undefined
  readonly name?: string | undefined
  readonly email?: string | undefined
}

/** The account of a client key, or the one that a backend key names; a new subject gets one. */
async function buyerOf(
  { accounts }: CheckoutDeps,
  who: Caller,
  { subject_ref: subjectRef, name, email }: Buyer,
): Promise<Account | Refusal> {
  if (who.keyKind === 'client') {
    if (subjectRef !== undefined) {
      return refuse('invalid_request', 'subject_ref: a client key buys for its own account.')
    }
    return (await accounts.read(who.accountId)) ?? refuse('not_found', 'The account is gone.')
  }
  if (subjectRef === undefined) {
    return refuse('invalid_request', 'subject_ref: a backend key must say for whom.')
  }
  const created = await accounts.create({
    ...{
      id: null,
      subjectRef,
      name: name ?? subjectRef,
      email: email ?? null,
      stripeCustomerId: null,
    },
    ...{ creditLimitMicros: ZERO, overageLimitMicros: ZERO, markup: null },
    actor: who.keyId,
  })
  return isRefusal(created) ? refuse('conflict', 'subject_ref is taken.') : created.account
}

/** Which price of a plan; nothing = its first. */
function choiceOf({ interval, price }: z.output<typeof openBody>) {
  if (interval !== undefined) return { choice: { interval } }
  return price === undefined ? {} : { choice: { price } }
}

function openCheckout(deps: CheckoutDeps): Route<Caller> {
  return route({
    method: 'POST',
    path: '/checkout',
    summary: 'Buy a pack or a plan: open the url. The same Idempotency-Key is the same checkout.',
    params: nothing,
    query: nothing,
    body: openBody,
    answer: checkoutView,
    async run({ who, body, idempotencyKey: requestKey }) {
      if (deps.checkouts === null) return OFF
      const account = await buyerOf(deps, who, body)
      if (isRefusal(account)) return account
      if (account.status === 'frozen') return FROZEN
      const { pack, plan = '', success_url: successUrl, cancel_url: cancelUrl } = body
      const kind = pack === undefined ? 'plan' : 'pack'
      const item = { kind, id: pack ?? plan, ...choiceOf(body) } as const
      const asked = { item, successUrl, cancelUrl, requestKey }
      const opened = await deps.checkouts.open(account, asked)
      return isRefusal(opened) ? opened : { status: 201, body: viewCheckout(opened) }
    },
  })
}

function readCheckout(deps: CheckoutDeps): Route<Caller> {
  return route({
    method: 'GET',
    path: '/checkout/:id',
    summary: 'What became of a checkout, by our id or Stripe’s; looks at Stripe itself.',
    params: z.object({ id: z.string().regex(/^\w{1,255}$/) }),
    query: nothing,
    body: nothing,
    answer: checkoutView,
    async run({ who, params: { id } }) {
      if (deps.checkouts === null) return OFF
      const accountId = who.keyKind === 'backend' ? null : who.accountId
      const row = await deps.checkouts.read(id, accountId)
      return row === null ? NO_CHECKOUT : { status: 200, body: viewCheckout(row) }
    },
  })
}

function openPortal(deps: CheckoutDeps): Route<Caller> {
  return route({
    method: 'POST',
    path: '/portal',
    summary: 'Stripe’s customer portal: cards, invoices, subscriptions.',
    params: nothing,
    query: nothing,
    body: z.strictObject({ return_url: webUrl, subject_ref: fields.reference.optional() }),
    answer: z.object({ url: z.string() }),
    async run({ who, body }) {
      if (deps.checkouts === null) return OFF
      const { subject_ref: subject } = body
      const known = subject === undefined ? null : await deps.accounts.bySubject(subject)
      if (who.keyKind === 'backend' && known === null) {
        return refuse('subject_not_found', 'subject_ref: there is no such subject.')
      }
      const account = known !== null && who.keyKind === 'backend' ? known : null
      const buyer = account ?? (await buyerOf(deps, who, body))
      if (isRefusal(buyer)) return buyer
      const opened = await deps.checkouts.portal(buyer, body.return_url)
      return isRefusal(opened) ? opened : { status: 201, body: opened }
    },
  })
}

/** Routes that buy. Give it to `openApiPlugin` and to `checkoutPlugin`. */
export const makeCheckoutSurface = (deps: CheckoutDeps): CheckoutSurface => ({
  prefix: PORTAL_PREFIX,
  security: 'client',
  routes: [openCheckout(deps), readCheckout(deps), openPortal(deps)],
})

/** For client keys and backend keys. Register it with `{ prefix: PORTAL_PREFIX }`. */
export function checkoutPlugin(
  app: FastifyInstance,
  { surface, deps }: { readonly surface: CheckoutSurface; readonly deps: CheckoutDeps },
): void {
  registerSurface(app, {
    routes: surface.routes,
    log: deps.log,
    guard: (request: FastifyRequest) => {
      const key = splitQuery(request.url)?.key ?? null
      return authenticate(deps, secretOf(request.headers, key))
    },
  })
}
