import { createHash } from 'node:crypto'
import type { Refusal } from '../../kernel/errors.ts'
import { makeShare, type Share } from '../../kernel/room.ts'
import { admit } from '../admit.ts'
import { callInTurn, type CallKind } from '../call.ts'
import { claimKey } from '../idempotency/claim-key.ts'
import type { GatewayDeps } from '../context.ts'
import { countServed } from '../count-served.ts'
import type { StoredReplay } from '../idempotency/idempotency.ts'
import {
  countFree,
  replayHeaders,
  sendBodiless,
  sendRefusal,
  sendReplay,
  withTopUp,
} from '../reply.ts'
import { own, release } from '../settle.ts'
import { callApi, isRepeatable, movedTo } from './call.ts'
import { makeHttpErrorSink } from './error-sink.ts'
import type { HttpArrival, HttpExchange, KeptBody } from './exchange.ts'
import { HTTP_PREFIX } from './paths.ts'
import { bodyRefusal, keepBody } from './request-body.ts'
import { objectionTo, reserveHttp, type HttpBounded, type HttpReserved } from './reserve.ts'
import { isBodiless, makeHttpSink } from './sink.ts'

/** One request of a named API: reserve, send, meter, settle. Rejects with a fault of ours. */
export async function handleHttp(deps: GatewayDeps, arrival: HttpArrival): Promise<void> {
  const bodyShare = makeShare(() => deps.bodyRoom, arrival.caller.accountId)
  const over = deps.running.begin()
  const ended = (): void => {
    bodyShare.close()
    over()
  }
  let isSent = false
  try {
    isSent = await start(deps, arrival, bodyShare, ended)
  } finally {
    if (!isSent) ended()
  }
}

/** Answers whether it was sent: then its sink owns its end. */
async function start(
  deps: GatewayDeps,
  arrival: HttpArrival,
  bodyShare: Share,
  ended: () => void,
): Promise<boolean> {
  const isNamed = arrival.request.headers['idempotency-key'] !== undefined
  const body = objectionTo(arrival) ?? (await keepBody(arrival, isNamed, bodyShare))
  if (!('kept' in body)) {
    refuseWith(deps, arrival, body)
    return false
  }
  const claim = isNamed ? await claimFor(deps, arrival, body.kept) : null
  if (claim?.kind === 'refused') {
    refuseWith(deps, arrival, claim.refusal)
    return false
  }
  if (claim?.kind === 'replay') {
    replay(deps, arrival, claim)
    return false
  }
  const { kept } = body
  const { id, out } = arrival
  const reserveIt = (): Promise<HttpReserved | Refusal> =>
    reserveHttp(deps, arrival, kept?.length ?? null)
  const admitted = await admit(deps, { id, out, claim }, reserveIt, (reserved) => {
    const exchange = exchangeOf(arrival, reserved, { kept, bodyShare, claim, ended })
    callInTurn(deps, OF_AN_API, { exchange, others: reserved.others, tries: 1 })
  })
  if (typeof admitted === 'object') refuseWith(deps, arrival, withTopUp(deps, admitted))
  return admitted === 'sent'
}

const exchangeOf = (
  arrival: HttpArrival,
  { first, hold, draft }: HttpReserved,
  more: Pick<HttpExchange, 'kept' | 'bodyShare' | 'claim' | 'ended'>,
): HttpExchange => ({
  ...arrival,
  ...first,
  named: arrival.api.name,
  ...{ hold, draft, ...more },
  sent: { bytes: 0, failure: null },
  times: { sentMs: 0, calledMs: 0, firstByteMs: 0, endedMs: 0, countedMs: 0 },
})

/** Claims the key of a request: API, method, path, query and body are what it stands for. */
function claimFor(
  deps: GatewayDeps,
  { id, caller, api, at, query, request }: HttpArrival,
  kept: KeptBody,
): ReturnType<typeof claimKey> {
  const asked = `${request.method ?? 'GET'} ${HTTP_PREFIX}${api.name}${at.path}?${query}\n`
  const hash = createHash('sha256').update(asked)
  if (kept !== null) hash.update(kept)
  const key = request.headers['idempotency-key'] ?? ''
  return claimKey(deps, { id, caller, key, bodyHash: hash.digest() })
}

function replay(deps: GatewayDeps, arrival: HttpArrival, stored: StoredReplay): void {
  const { out, request } = arrival
  if (isBodiless(request, stored.status)) {
    sendBodiless(out, stored.status, replayHeaders(stored))
  } else sendReplay(out, stored)
  countFree(deps, 'http', arrival.api.name, stored.status)
}

function refuseWith(deps: GatewayDeps, arrival: HttpArrival, refusal: Refusal): void {
  const status = sendRefusal(arrival.out, 'openai', arrival.id, refusal)
  countFree(deps, 'http', arrival.api.name, status)
}

/** How a named API is called, and what becomes of its answer. */
const OF_AN_API: CallKind<HttpExchange, HttpBounded> = {
  called: ({ api }) => api,
  moved: (_deps, exchange, other) => movedTo(exchange, other),
  send: callApi,
  bodyRefusal: ({ sent, api }) => bodyRefusal(sent.failure, api.requestBytesMax),
  isRepeatable,
  open(deps, exchange, answer) {
    exchange.times.firstByteMs = deps.clock.monotonicMs()
    if (answer.status >= 400 && !exchange.api.chargesErrors) {
      return makeHttpErrorSink(deps, exchange, answer, (status) => {
        countServed(deps, exchange, status, false)
      })
    }
    return makeHttpSink(deps, exchange, answer, (status, charged) => {
      countServed(deps, exchange, status, charged.estimated)
    })
  },
  refused(deps, exchange, refusal) {
    exchange.times.endedMs = deps.clock.monotonicMs()
    own(deps, exchange, refuseLate(deps, exchange, refusal))
  },
}

async function refuseLate(
  deps: GatewayDeps,
  exchange: HttpExchange,
  refusal: Refusal,
): Promise<void> {
  await release(deps, exchange)
  refuseWith(deps, exchange, refusal)
}
