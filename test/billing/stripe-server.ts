import Fastify, { type FastifyRequest } from 'fastify'

type Thing = Record<string, unknown> & { id: string }

const form = (request: FastifyRequest): URLSearchParams =>
  new URLSearchParams(typeof request.body === 'string' ? request.body : '')
const queryOf = (request: FastifyRequest): URLSearchParams =>
  new URL(request.url, 'http://x').searchParams
const list = (data: readonly unknown[]) => ({ object: 'list', data, has_more: false, url: '/v1' })

/** `a[b]=c` of one group, as Stripe keeps metadata. */
function group(params: URLSearchParams, name: string): Record<string, string> {
  const found = [...params].filter(([key]) => key.startsWith(`${name}[`))
  return Object.fromEntries(found.map(([key, value]) => [key.slice(name.length + 1, -1), value]))
}

/**
 * As much of Stripe, over HTTP, as checkouts ask of it, with state, idempotency keys kept as
 * Stripe keeps them, and faults: an answer that gets lost after the deed.
 */
export async function startStripe() {
  const app = Fastify()
  const things = new Map<string, Thing>()
  const answers = new Map<string, { body: string; answer: unknown }>()
  const calls: string[] = []
  let count = 0
  let loseNext: string | null = null

  const of = (object: string): Thing[] =>
    [...things.values()].filter((thing) => thing.object === object)
  const add = (object: string, prefix: string, fields: object): Thing => {
    count += 1
    const thing = { id: `${prefix}_${count}`, object, created: 1_800_000_000, ...fields }
    things.set(thing.id, thing)
    return thing
  }

  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    done(null, body)
  })
  app.addHook('onRequest', async (request, reply) => {
    calls.push(`${request.method} ${request.url.split('?')[0] ?? ''}`)
    if (request.headers.authorization !== 'Bearer sk_test_x') {
      return reply.code(401).send({ error: { type: 'invalid_request_error', message: 'key' } })
    }
    return undefined
  })

  /** A POST: once for each key, and with its answer lost where that was asked for. */
  const post = (path: string, run: (params: URLSearchParams, request: FastifyRequest) => unknown) =>
    app.post(path, (request, reply) => {
      const key = String(request.headers['idempotency-key'])
      const body = form(request).toString()
      const before = answers.get(key)
      if (before !== undefined && before.body !== body) {
        return reply.code(400).send({ error: { type: 'idempotency_error', message: 'other' } })
      }
      const answer = before?.answer ?? run(form(request), request)
      answers.set(key, { body, answer })
      if (loseNext !== null && request.url.startsWith(loseNext)) {
        loseNext = null
        return reply.code(400).send({ error: { type: 'api_error', message: 'lost' } })
      }
      return reply.send(answer)
    })
  const idIn = (request: FastifyRequest): string => (request.params as { id: string }).id
  const get = (path: string) =>
    app.get(path, (request, reply) => {
      const thing = things.get(idIn(request))
      const missing = { type: 'invalid_request_error', code: 'resource_missing', message: 'no' }
      return thing === undefined ? reply.code(404).send({ error: missing }) : reply.send(thing)
    })

  post('/v1/customers', (params) => add('customer', 'cus', { metadata: group(params, 'metadata') }))
  post('/v1/customers/:id', (params, request) =>
    Object.assign(things.get(idIn(request)) ?? {}, { name: params.get('name') }),
  )
  app.get('/v1/customers/search', (request) => {
    const wanted = /:'(.*)'$/.exec(queryOf(request).get('query') ?? '')?.[1]
    const isIt = ({ metadata }: Thing) =>
      (metadata as Record<string, string>).farebox_account === wanted
    return { ...list(of('customer').filter(isIt)), object: 'search_result', next_page: null }
  })
  post('/v1/checkout/sessions', (params) => {
    const session = add('checkout.session', 'cs', {
      mode: params.get('mode'),
      customer: params.get('customer'),
      client_reference_id: params.get('client_reference_id'),
      metadata: group(params, 'metadata'),
      status: 'open',
      payment_status: 'unpaid',
      payment_intent: null,
      subscription: null,
      amount_subtotal: 1_000,
      amount_total: 1_000,
      currency: 'usd',
      url: 'https://checkout.example/pay',
      expires_at: 1_900_000_000,
      price: params.get('line_items[0][price]'),
    })
    return session
  })
  get('/v1/checkout/sessions/:id')
  app.get('/v1/checkout/sessions/:id/line_items', (request) => {
    const price = { id: things.get(idIn(request))?.price, object: 'price' }
    return list([{ id: 'li_1', object: 'item', quantity: 1, price }])
  })
  app.get('/v1/checkout/sessions', (request) => {
    const wanted = queryOf(request).get('payment_intent')
    return list(of('checkout.session').filter((one) => one.payment_intent === wanted))
  })
  get('/v1/payment_intents/:id')
  get('/v1/refunds/:id')
  for (const object of ['refund', 'dispute']) {
    app.get(`/v1/${object}s`, (request) => {
      const wanted = queryOf(request).get('payment_intent')
      return list(of(object).filter((one) => one.payment_intent === wanted))
    })
  }
  app.get('/v1/events', () => list(of('event').toReversed()))
  post('/v1/billing_portal/sessions', (params) =>
    add('billing_portal.session', 'bps', {
      url: `https://portal.example/${params.get('customer')}`,
    }),
  )
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  return {
    url,
    calls,
    of,
    /** The next POST to a path is done, and its answer is an error. */
    loseNext: (path: string) => {
      loseNext = path
    },
    forgetKeys: () => {
      answers.clear()
    },
    /** The buyer pays on Stripe's page. */
    pay(sessionId: string, amount = 1_000) {
      const session = things.get(sessionId)
      if (session === undefined) throw new Error(`no session ${sessionId}`)
      const intent = add('payment_intent', 'pi', {
        status: 'succeeded',
        amount,
        amount_received: amount,
        currency: 'usd',
        latest_charge: { id: 'ch_1', object: 'charge', created: 1_800_000_100 },
      })
      const paid = { status: 'complete', payment_status: 'paid', payment_intent: intent.id }
      Object.assign(session, paid)
      return intent.id
    },
    refund: (intent: string, amount: number, status = 'succeeded') =>
      add('refund', 're', { payment_intent: intent, amount, status, currency: 'usd' }),
    happen: (type: string, objectId: string) =>
      add('event', 'evt', { type, livemode: false, data: { object: { id: objectId } } }),
    stop: () => app.close(),
  }
}
