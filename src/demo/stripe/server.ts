import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { makeApiTroubles } from './api-faults.ts'
import { allLines } from './billing/lines.ts'
import { makeApi, type Answered } from './api.ts'
import { linesOf } from './checkout.ts'
import { runControl, submitPage, type Control } from './control.ts'
import { makeDeliveries } from './delivery.ts'
import { ApiFault } from './faults.ts'
import { parseForm } from './form.ts'
import { int, parseObject, rows, text, type Obj } from './json.ts'
import { bankPage, payablePage, plainPage, portalPage } from './pay-page.ts'
import { makeSimulator, type Simulator } from './simulator.ts'
import { makeWebhookTroubles } from './webhook-faults.ts'
import { API_VERSION, type WorldOptions } from './world.ts'

/** Larger than any body of Stripe's API; guards memory. */
const BODY_BYTES_MAX = 4 * 1024 * 1024
/** Calls kept for `/_control/calls`. */
const CALLS_MAX = 5_000
/** How often a running clock looks for what is due. */
const DUE_MS = 200

export interface StripeSimulator {
  readonly simulator: Simulator
  readonly server: Server
  /** Closes the server and stops the clock. */
  stop(): Promise<void>
}

async function readBody(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of request) {
    if (!Buffer.isBuffer(part)) continue
    bytes += part.length
    if (bytes > BODY_BYTES_MAX) throw new ApiFault(413, { message: 'The body is too large.' })
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

const header = (request: IncomingMessage, name: string): string | null => {
  const value = request.headers[name]
  return typeof value === 'string' ? value : null
}

function send(response: ServerResponse, status: number, body: Obj): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

function sendAnswer(response: ServerResponse, answered: Answered, key: string | null): void {
  const { trouble } = answered
  if (trouble?.kind === 'reset') response.socket?.resetAndDestroy()
  if (trouble?.kind === 'timeout' || trouble?.kind === 'reset') return
  response.writeHead(answered.status, {
    'content-type': 'application/json',
    'request-id': answered.requestId,
    'stripe-version': API_VERSION,
    ...(key === null ? {} : { 'idempotency-key': key }),
    ...(answered.replayed ? { 'idempotent-replayed': 'true' } : {}),
  })
  response.end(trouble?.kind === 'garbage' ? '<html>' : JSON.stringify(answered.body, null, 2))
}

function sendPage(response: ServerResponse, simulator: Simulator, id: string): void {
  const found = simulator.world.find(id)
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
  if (found?.object === 'billing_portal.session') {
    response.end(portalPage(found))
    return
  }
  const isIntent = found?.object === 'payment_intent' || found?.object === 'setup_intent'
  if (isIntent && found.status === 'requires_action') response.end(bankPage(found))
  else if (found?.object === 'checkout.session' && found.status === 'open') {
    const lines = rows(linesOf(simulator.world, found), 'data')
    response.end(payablePage(found, int(found, 'amount_total'), lines))
  } else if (found?.object === 'invoice' && /^(open|uncollectible)$/.test(text(found, 'status'))) {
    const lines = allLines(simulator.world, found)
    response.end(payablePage(found, int(found, 'amount_remaining'), lines))
  } else response.end(plainPage('Nothing to pay here.'))
}

function makeControl(simulator: Simulator): Control & { readonly calls: Obj[] } {
  const webhooks = makeWebhookTroubles()
  const deliveries = makeDeliveries(simulator.world, webhooks)
  return {
    simulator,
    webhooks,
    deliveries,
    troubles: makeApiTroubles(),
    calls: [],
    async flush() {
      await deliveries.send(simulator.world.outbox.splice(0))
    },
  }
}

type Handle = (request: IncomingMessage, response: ServerResponse) => Promise<void>

function makeHandler(control: Control & { readonly calls: Obj[] }): Handle {
  const { simulator, deliveries } = control
  const { world, routes, includes } = simulator
  const api = makeApi({ world, routes, includes, troubles: control.troubles, wait: delay })

  async function callApi(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const key = header(request, 'idempotency-key')
    const asked = {
      method: request.method ?? '',
      url: request.url ?? '',
      authorization: header(request, 'authorization') ?? '',
      version: header(request, 'stripe-version'),
      idempotencyKey: key,
      body: await readBody(request),
    }
    const answered = await api(asked)
    const { operation, input, status, replayed } = answered
    control.calls.push({
      ...{ method: asked.method, url: asked.url, operation, input, status, replayed },
      ...{ idempotency_key: key, body: asked.body, answer: structuredClone(answered.body) },
    })
    if (control.calls.length > CALLS_MAX) control.calls.shift()
    const batch = world.outbox.splice(0)
    if (deliveries.wantsFirst(batch)) await deliveries.send(batch)
    else void deliveries.send(batch)
    sendAnswer(response, answered, key)
  }

  async function page(request: IncomingMessage, response: ServerResponse, id: string) {
    if (request.method !== 'POST') {
      sendPage(response, simulator, id)
      return
    }
    const next = submitPage(simulator, id, parseForm(await readBody(request)))
    void control.flush()
    if (next !== null) response.writeHead(303, { location: next }).end()
    else response.writeHead(200, { 'content-type': 'text/html' }).end(plainPage('Thank you.'))
  }

  return async (request, response) => {
    const [path = ''] = (request.url ?? '').split('?')
    if (path === '/thank-you') {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
      response.end(plainPage('Thank you. Your credits arrive in a moment.'))
    } else if (path.startsWith('/portal/')) {
      sendPage(response, simulator, path.slice('/portal/'.length))
    } else if (path.startsWith('/pay/')) await page(request, response, path.slice('/pay/'.length))
    else if (path.startsWith('/_control/')) {
      const input = parseObject((await readBody(request)) || '{}') ?? {}
      const answer = await runControl(control, path.slice('/_control/'.length), input)
      if (answer === null) send(response, 404, { error: 'no such control' })
      else send(response, 200, answer)
    } else await callApi(request, response)
  }
}

export interface ServeOptions extends WorldOptions {
  readonly port: number
}

/** Starts a simulator on 127.0.0.1; resolves when it listens. */
export async function serveStripe(options: ServeOptions): Promise<StripeSimulator> {
  const simulator = makeSimulator(options)
  const control = makeControl(simulator)
  simulator.world.advance = (toS) =>
    simulator.world.timeline.advanceTo(toS, async () => {
      await control.flush()
      await control.deliveries.idle()
    })
  const handle = makeHandler(control)
  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy()
      else if (error instanceof ApiFault) send(response, error.status, error.body)
      else send(response, 500, { error: { type: 'api_error', message: String(error) } })
    })
  })
  await new Promise<void>((resolve) => server.listen(options.port, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  simulator.world.base = `http://127.0.0.1:${port}`
  const due = setInterval(() => {
    simulator.world.timeline.runDue()
    void control.flush()
  }, DUE_MS)
  due.unref()
  return {
    simulator,
    server,
    async stop() {
      clearInterval(due)
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
