import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { OpenHold } from '../../credits/holds.ts'
import { refuse, type Refusal } from '../../kernel/errors.ts'
import { makeShare, type Share } from '../../kernel/room.ts'
import { claimKey } from '../claim-key.ts'
import type { BodySink, Flow } from '../forward.ts'
import type { IdempotencyClaim, StoredReplay } from '../idempotency.ts'
import { replayHeaders, sendBodiless, sendRefusal, sendReplay, withTopUp } from '../reply.ts'
import { own, release } from '../settle.ts'
import { callApi, type ApiCallHandlers } from './call.ts'
import { makeHttpErrorSink } from './error-sink.ts'
import type { HttpArrival, HttpDeps, HttpExchange, KeptBody } from './exchange.ts'
import { HTTP_PREFIX } from './paths.ts'
import { keepBody } from './request-body.ts'
import { objectionTo, reserveHttp, type HttpReserved } from './reserve.ts'
import { isBodiless, makeHttpSink } from './sink.ts'

/** One request of a named API: reserve, send, meter, settle. Rejects with a fault of ours. */
export async function handleHttp(deps: HttpDeps, arrival: HttpArrival): Promise<void> {
  const share = makeShare(() => deps.bodyRoom, arrival.caller.accountId)
  const over = deps.running.begin()
  const ended = (): void => {
    share.close()
    over()
  }
  let isSent = false
  try {
    isSent = await start(deps, arrival, share, ended)
  } finally {
    if (!isSent) ended()
  }
}

/** Answers whether it was sent: then its sink owns its end. */
async function start(
  deps: HttpDeps,
  arrival: HttpArrival,
  share: Share,
  ended: () => void,
): Promise<boolean> {
  const isNamed = arrival.request.headers['idempotency-key'] !== undefined
  const body = objectionTo(arrival) ?? (await keepBody(arrival, isNamed, share))
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
  return admit(deps, arrival, body.kept, claim, ended)
}

/** Holds the credits and sends; whoever cannot be served leaves neither a hold nor a claim. */
async function admit(
  deps: HttpDeps,
  arrival: HttpArrival,
  kept: KeptBody,
  claim: IdempotencyClaim | null,
  ended: () => void,
): Promise<boolean> {
  let hold: OpenHold | null = null
  try {
    const reserved = await reserveHttp(deps, arrival, kept?.length ?? null)
    if (!reserved.ok) {
      await claim?.free()
      refuseWith(deps, arrival, withTopUp(deps, reserved))
      return false
    }
    ;({ hold } = reserved)
    const exchange = exchangeOf(arrival, reserved, { kept, claim, ended })
    const isFresh = await hold.ensureFresh()
    const isGone = arrival.out.destroyed
    if (isFresh && !isGone) {
      callApi(deps, { exchange, others: reserved.others }, handlersOf(deps))
      return true
    }
    await release(deps, exchange)
    if (isGone) return false
    refuseWith(deps, arrival, refuse('gateway_unavailable', 'The hold was lost. Try again.'))
    return false
  } catch (error) {
    await hold?.release()
    await claim?.free()
    throw error
  }
}

const exchangeOf = (
  arrival: HttpArrival,
  { first, hold, draft }: HttpReserved,
  more: Pick<HttpExchange, 'kept' | 'claim' | 'ended'>,
): HttpExchange => ({
  ...arrival,
  ...first,
  named: arrival.api.name,
  ...{ hold, draft, ...more },
  sent: { bytes: 0, failure: null },
  times: { sentMs: 0, calledMs: 0, firstByteMs: 0, endedMs: 0 },
})

/** Claims the key of a request: API, method, path, query and body are what it stands for. */
function claimFor(
  deps: HttpDeps,
  { id, caller, api, at, query, request }: HttpArrival,
  kept: KeptBody,
): ReturnType<typeof claimKey> {
  const asked = `${request.method ?? 'GET'} ${HTTP_PREFIX}${api.name}${at.path}?${query}\n`
  const hash = createHash('sha256').update(asked)
  if (kept !== null) hash.update(kept)
  const key = request.headers['idempotency-key'] ?? ''
  return claimKey(deps, { id, caller, key, bodyHash: hash.digest() })
}

function replay(deps: HttpDeps, arrival: HttpArrival, stored: StoredReplay): void {
  const { out, request } = arrival
  if (isBodiless(request, stored.status)) {
    sendBodiless(out, stored.status, replayHeaders(stored))
  } else sendReplay(out, stored)
  count(deps, arrival, stored.status, false, null)
}

function refuseWith(deps: HttpDeps, arrival: HttpArrival, refusal: Refusal): void {
  const status = sendRefusal(arrival.out, 'openai', arrival.id, refusal)
  count(deps, arrival, status, false, null)
}

const handlersOf = (deps: HttpDeps): ApiCallHandlers => ({
  open(serving, answer) {
    serving.times.firstByteMs = deps.clock.monotonicMs()
    return sinkOf(deps, serving, answer)
  },
  refused(last, refusal) {
    last.times.endedMs = deps.clock.monotonicMs()
    own(deps, last, refuseLate(deps, last, refusal))
  },
})

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
