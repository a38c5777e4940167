import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { OpenHold } from '../credits/holds.ts'
import { isRefusal, refuse, type Refusal } from '../kernel/errors.ts'
import { describeError } from '../kernel/log.ts'
import { makePieces } from '../protocols/form-pieces.ts'
import { makeAnswerSink } from './answer.ts'
import { makeBackgroundSink } from './background/sink.ts'
import { makeBackgroundStream } from './background/stream.ts'
import { bodyFor, injectsUsage } from './body.ts'
import { boundedOnceLeft } from './bounded-once-left.ts'
import { decoderOf, decoding } from './decode.ts'
import type { Bounded } from './bound.ts'
import { callUpstream } from './call.ts'
import { claimKey } from './claim-key.ts'
import type { Arrival, Exchange, GatewayDeps } from './context.ts'
import { makeErrorSink } from './error-sink.ts'
import type { BodySink, Flow } from './forward.ts'
import type { IdempotencyClaim } from './idempotency.ts'
import { refuseRequest, sendReplay, withTopUp } from './reply.ts'
import { isForItsNeed, reserve, type Reserved } from './reserve.ts'
import { claimStored } from './stored/ownership.ts'
import { fail, own, release, tellFault, type Charged } from './settle.ts'
import { makeStreamSink } from './stream.ts'
import { isStreamType } from './stream-type.ts'
import { makeUnlabelledSink } from './unlabelled.ts'

const BROKEN = refuse('internal_error', 'Something went wrong here. Try again.')

/**
 * One metered request from the moment its body was read: claim, reserve, forward, and the sink
 * that meters, settles and answers. Source: design §2.
 */
export function handle(deps: GatewayDeps, arrival: Arrival): void {
  const ended = endOf(deps, arrival)
  follow(deps, arrival, ended, start(deps, arrival, ended))
}

/** Owns a request until it was sent, or will not be. */
function follow(
  deps: GatewayDeps,
  arrival: Arrival,
  ended: () => void,
  starting: Promise<boolean>,
): void {
  starting.then(
    (isSent) => {
      if (!isSent) ended()
    },
    (error: unknown) => {
      ended()
      deps.log.error({ request_id: arrival.id, error: describeError(error) }, 'request failed')
      refuseRequest(deps, arrival, BROKEN)
    },
  )
}

/** What tells that nothing more will be done for it. */
function endOf({ running }: GatewayDeps, { sent, bodyShare }: Arrival): () => void {
  const ended = running.begin()
  return () => {
    sent?.close()
    bodyShare.close()
    ended()
  }
}

/** Answers whether it was sent: then its sink owns its end. */
async function start(deps: GatewayDeps, first: Arrival, ended: () => void): Promise<boolean> {
  let arrival = first
  const named = arrival.headers['idempotency-key'] !== undefined
  const claim = named ? await claimFor(deps, arrival) : null
  if (claim !== null && claim.kind === 'replay') {
    sendReplay(arrival.out, claim)
    count(deps, arrival, null, claim.status, null)
    return false
  }
  if (claim !== null && claim.kind === 'refused') {
    refuseRequest(deps, arrival, claim.refusal)
    return false
  }
  let hold: OpenHold | null = null
  try {
    let reserved = await admit(deps, arrival)
    if (!reserved.ok && arrival.exactly !== undefined && isForItsNeed(reserved)) {
      const whole = await arrival.exactly()
      if (isRefusal(whole)) reserved = whole
      else {
        arrival = whole
        reserved = await admit(deps, arrival)
      }
    }
    if (!reserved.ok) {
      await claim?.free()
      refuseRequest(deps, arrival, withTopUp(deps, reserved))
      return false
    }
    ;({ hold } = reserved)
    const exchange = makeExchange(arrival, reserved, claim, ended)
    const fresh = hold.ensureFresh()
    const isFresh = fresh instanceof Promise ? await fresh : fresh
    const isGone = arrival.out.destroyed // left while it was being authorised: nothing was sent
    if (isFresh && !isGone) {
      send(deps, exchange, reserved.others)
      return true
    }
    await release(deps, exchange)
    if (isGone) return false
    refuseRequest(deps, arrival, refuse('gateway_unavailable', 'The hold was lost. Try again.'))
    return false
  } catch (error) {
    await hold?.release()
    await claim?.free()
    throw error
  }
}

/** Holds the credits of a request that goes on from nothing, or from what is its own. */
const admit = (deps: GatewayDeps, arrival: Arrival): Promise<Reserved | Refusal> =>
  arrival.view.refersTo === undefined
    ? reserve(deps, arrival)
    : claimStored(deps, arrival).then((claimed) =>
        claimed.ok ? reserve(deps, claimed.arrival) : claimed,
      )

/** Claims the client's idempotency key, if it sent one. Source: design §9. */
async function claimFor(
  deps: GatewayDeps,
  { id, caller, headers, protocol, raw, sent, view }: Arrival,
): ReturnType<typeof claimKey> {
  const key = headers['idempotency-key'] ?? ''
  const digest = view.readApart?.digest
  if (digest) return claimKey(deps, { id, caller, key, bodyHash: Buffer.from(digest) })
  const hash = createHash('sha256').update(`${protocol.path}\n`)
  const pieces = makePieces(headers['content-type'], (piece) => hash.update(piece))
  if (sent === undefined) pieces.push(raw)
  else for await (const chunk of sent.chunks()) pieces.push(chunk)
  pieces.end()
  return claimKey(deps, { id, caller, key, bodyHash: hash.digest() })
}

function makeExchange(
  arrival: Arrival,
  reserved: Reserved,
  claim: IdempotencyClaim | null,
  ended: () => void,
): Exchange {
  return {
    ...arrival,
    target: reserved.target,
    hold: reserved.hold,
    draft: reserved.draft,
    inputTokens: reserved.inputTokens,
    claim,
    body: bodyFor(arrival, reserved.target, reserved.outputTokensLimit),
    injectedUsage: injectsUsage(arrival),
    ended,
    times: { sentMs: 0, firstByteMs: 0, endedMs: 0 },
  }
}

const isStream = ({ view, protocol }: Exchange, headers: IncomingHttpHeaders): boolean => {
  const type = headers['content-type']
  if (type?.toLowerCase().startsWith('text/event-stream') === true) return true
  return view.stream && isStreamType(protocol, type)
}

function send(deps: GatewayDeps, exchange: Exchange, others: readonly Bounded[]): void {
  callUpstream(
    deps,
    { exchange, others, tries: 1 },
    {
      open(serving, status, headers, flow) {
        serving.times.firstByteMs = deps.clock.monotonicMs()
        return chooseSink(deps, serving, status, headers, flow, (answered, charged) => {
          count(deps, serving, serving, answered, charged)
        })
      },
      refused(last, refusal) {
        last.times.endedMs = deps.clock.monotonicMs()
        const { exactly, sent, ended } = last
        if (exactly !== undefined && sent !== undefined && sent.stopped !== null) {
          follow(deps, last, ended, startWhole(deps, last, exactly))
        } else own(deps, last, refuseLate(deps, last, refusal))
      },
    },
  )
}

/**
 * A form that went on while it came turned out to be more than was held, or none: its upstream
 * never had the whole of it. It starts anew by all of it, on a hold of its own that alone counts as
 * a request, or is refused.
 */
async function startWhole(
  deps: GatewayDeps,
  exchange: Exchange,
  exactly: () => Promise<Arrival | Refusal>,
): Promise<boolean> {
  let whole: Arrival | Refusal | null = null
  try {
    whole = await exactly()
  } finally {
    await release(deps, exchange, whole !== null && !isRefusal(whole))
  }
  if (!isRefusal(whole)) return start(deps, { ...whole, id: deps.ids.uuid() }, exchange.ended)
  refuseRequest(deps, exchange, whole)
  return false
}

type Done = (status: number, charged: Charged | null) => void

function chooseSink(
  deps: GatewayDeps,
  exchange: Exchange,
  status: number,
  headers: IncomingHttpHeaders,
  flow: Flow,
  done: Done,
): BodySink {
  const makeDecoder = decoderOf(headers)
  const plain = makeDecoder === null ? headers : { ...headers, 'content-encoding': undefined }
  const make = sinkMaker(exchange, status, headers)
  const makeSink = (steered: Flow): BodySink => make(deps, exchange, status, plain, steered, done)
  const sink =
    makeDecoder === null
      ? makeSink(flow)
      : decoding(makeDecoder, flow, makeSink, {
          faulty: tellFault(deps, exchange.id),
          broken: (fault) => {
            fail(deps, exchange, fault)
          },
        })
  return boundedOnceLeft(deps.clock, exchange.out, flow, sink)
}

function sinkMaker(exchange: Exchange, status: number, headers: IncomingHttpHeaders) {
  if (status >= 300) return makeErrorSink
  const goesOn = exchange.view.background === true
  if (isStream(exchange, headers)) return goesOn ? makeBackgroundStream : makeStreamSink
  if (goesOn) return makeBackgroundSink
  return exchange.view.stream ? makeUnlabelledSink : makeAnswerSink
}

async function refuseLate(deps: GatewayDeps, exchange: Exchange, refusal: Refusal): Promise<void> {
  await release(deps, exchange)
  refuseRequest(deps, exchange, refusal)
}

function count(
  deps: GatewayDeps,
  arrival: Arrival,
  exchange: Exchange | null,
  status: number,
  charged: Charged | null,
): void {
  const times = exchange?.times ?? null
  const sent = times !== null && times.sentMs > 0
  deps.hooks.requestDone({
    protocol: arrival.protocol.name,
    upstream: exchange?.target.upstream.name ?? 'none',
    status,
    stream: arrival.view.stream,
    estimated: charged?.estimated ?? false,
    beforeMs: sent ? times.sentMs - arrival.startedMonoMs : null,
    afterMs: sent && times.endedMs > 0 ? deps.clock.monotonicMs() - times.endedMs : null,
  })
}
