import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { refuse, type Refusal } from '../../kernel/errors.ts'
import { NOT_ANSWERING } from '../bound.ts'
import { dispatch, upstreamFailure, type BodySink, type Flow } from '../forward.ts'
import { upstreamHeaders } from '../headers.ts'
import { sendRefusal } from '../reply.ts'
import { own, release } from '../settle.ts'
import { makeHttpErrorSink } from './error-sink.ts'
import type { HttpArrival, HttpDeps, HttpExchange } from './exchange.ts'
import { bodyOf } from './request-body.ts'
import { reserveHttp } from './reserve.ts'
import { makeHttpSink } from './sink.ts'

/** What of a client's headers an API gets beside those of every upstream. */
const PASSED_ON = ['content-length', 'idempotency-key'] as const

/** One request of a named API: reserve, send, meter, settle. Never rejects. Source: design §2. */
export async function handleHttp(deps: HttpDeps, arrival: HttpArrival): Promise<void> {
  const ended = deps.running.begin()
  let isSent = false
  try {
    isSent = await start(deps, arrival, ended)
  } finally {
    if (!isSent) ended()
  }
}

/** Answers whether it was sent: then its sink owns its end. */
async function start(deps: HttpDeps, arrival: HttpArrival, ended: () => void): Promise<boolean> {
  const reserved = await reserveHttp(deps, arrival)
  if (!reserved.ok) {
    refuseWith(deps, arrival, withTopUp(deps, reserved))
    return false
  }
  const exchange: HttpExchange = {
    ...arrival,
    ...reserved,
    claim: null,
    ended,
    sent: { bytes: 0, failure: null },
    times: { sentMs: 0, firstByteMs: 0, endedMs: 0 },
  }
  const isFresh = await exchange.hold.ensureFresh()
  const isGone = arrival.out.destroyed
  const isAdmitted = isFresh && !isGone && arrival.api.breaker.admit(deps.clock.monotonicMs())
  if (isAdmitted) {
    send(deps, exchange)
    return true
  }
  await release(deps, exchange)
  if (isGone) return false
  const why = isFresh ? NOT_ANSWERING : 'The hold was lost. Try again.'
  refuseWith(deps, arrival, refuse('gateway_unavailable', why))
  return false
}

function withTopUp(deps: HttpDeps, refusal: Refusal): Refusal {
  const { topUpUrl } = deps.settings()
  if (refusal.code !== 'insufficient_quota' || topUpUrl === null) return refusal
  return { ...refusal, message: `${refusal.message} Credits are sold at ${topUpUrl}` }
}

function refuseWith(deps: HttpDeps, arrival: HttpArrival, refusal: Refusal): void {
  sendRefusal(arrival.out, 'openai', arrival.id, refusal)
  count(deps, arrival, arrival.out.statusCode, false, null)
}

function optionsOf(exchange: HttpExchange): Dispatcher.DispatchOptions {
  const { api, request, at, query } = exchange
  const headers = upstreamHeaders(request.headers, api.ownHeaders, api.ownHeaderNames)
  for (const name of PASSED_ON) {
    const value = request.headers[name]
    if (typeof value === 'string' && !api.ownHeaderNames.has(name)) headers.push(name, value)
  }
  return {
    origin: api.origin,
    path: `${api.basePath}${at.path}${query === '' ? '' : `?${query}`}` || '/',
    method: request.method ?? 'GET',
    headers,
    body: bodyOf(exchange),
  }
}

/** A failure of the body is the client's, not the upstream's. */
function failureOf({ sent, api }: HttpExchange, error: Error): Refusal {
  if (sent.failure === 'too_large') {
    return refuse('request_too_large', `Bodies may have up to ${api.requestBytesMax} bytes here.`)
  }
  if (sent.failure === 'broken') {
    return refuse('request_timeout', 'The body ended before its declared length.')
  }
  return upstreamFailure(error)
}

function send(deps: HttpDeps, exchange: HttpExchange): void {
  const { api, times } = exchange
  times.sentMs = deps.clock.monotonicMs()
  dispatch(api.dispatcher, optionsOf(exchange), {
    open(status, headers, flow) {
      const isFailure = status >= 502 && status <= 504
      api.breaker.report(isFailure ? 'failed' : 'answered')
      deps.hooks.upstreamCalled(api.name, isFailure ? 'failed' : 'answered')
      times.firstByteMs = deps.clock.monotonicMs()
      return sinkOf(deps, exchange, { status, headers, flow })
    },
    refused(failure) {
      const isOurs = exchange.sent.failure !== null
      api.breaker.report(isOurs ? 'unknown' : 'failed')
      if (!isOurs) deps.hooks.upstreamCalled(api.name, 'failed')
      times.endedMs = deps.clock.monotonicMs()
      own(deps, exchange, refuseLate(deps, exchange, failureOf(exchange, failure)))
    },
  })
}

function sinkOf(
  deps: HttpDeps,
  exchange: HttpExchange,
  answer: { status: number; headers: IncomingHttpHeaders; flow: Flow },
): BodySink {
  if (answer.status >= 400 && !exchange.api.chargesErrors) {
    return makeHttpErrorSink(deps, exchange, answer, (status) => {
      count(deps, exchange, status, false, exchange.times)
    })
  }
  return makeHttpSink(deps, exchange, answer, (status, charged) => {
    count(deps, exchange, status, charged.estimated, exchange.times)
  })
}

async function refuseLate(deps: HttpDeps, exchange: HttpExchange, refusal: Refusal): Promise<void> {
  await release(deps, exchange)
  refuseWith(deps, exchange, refusal)
}

function count(
  deps: HttpDeps,
  arrival: HttpArrival,
  status: number,
  estimated: boolean,
  times: HttpExchange['times'] | null,
): void {
  const sent = times !== null && times.sentMs > 0
  deps.hooks.requestDone({
    protocol: 'http',
    upstream: arrival.api.name,
    status,
    stream: false,
    estimated,
    beforeMs: sent ? times.sentMs - arrival.startedMonoMs : null,
    afterMs: sent && times.endedMs > 0 ? deps.clock.monotonicMs() - times.endedMs : null,
  })
}
