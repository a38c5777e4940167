import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { isRefusal, refuse, type Refusal } from '../kernel/errors.ts'
import { describeError } from '../kernel/log.ts'
import { makePieces } from '../protocols/form-pieces.ts'
import { admit } from './admit.ts'
import { makeAnswerSink } from './answers/answer.ts'
import { makeBackgroundSink } from './background/sink.ts'
import { makeBackgroundStream } from './background/stream.ts'
import { boundedOnceLeft } from './answers/bounded-once-left.ts'
import { decoderOf, decoding } from './answers/decode.ts'
import type { Bounded } from './bound.ts'
import { callInTurn, type CallKind, type Opened } from './call.ts'
import { claimKey } from './idempotency/claim-key.ts'
import { countServed } from './count-served.ts'
import type { Arrival, Exchange, GatewayDeps } from './context.ts'
import { makeErrorSink } from './answers/error-sink.ts'
import { makeExchange, movedTo } from './exchange.ts'
import { forward, type BodySink, type Flow } from './forward.ts'
import { countFree, refuseRequest, sendReplay, withTopUp } from './reply.ts'
import { isForItsNeed, reserve, type Reserved } from './reserve.ts'
import { claimStored } from './stored/ownership.ts'
import { fail, own, release, tellFault, type Charged } from './settle.ts'
import { makeStreamSink } from './answers/stream.ts'
import { isStreamType } from './answers/stream-type.ts'
import { makeUnlabelledSink } from './answers/unlabelled.ts'

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
    countFree(deps, arrival.protocol.name, 'none', claim.status)
    return false
  }
  if (claim !== null && claim.kind === 'refused') {
    refuseRequest(deps, arrival, claim.refusal)
    return false
  }
  const reserveIt = async (): Promise<Reserved | Refusal> => {
    const reserved = await reserveOwn(deps, arrival)
    const { exactly } = arrival
    if (reserved.ok || exactly === undefined || !isForItsNeed(reserved)) return reserved
    const whole = await exactly()
    if (isRefusal(whole)) return whole
    arrival = whole
    return reserveOwn(deps, arrival)
  }
  const { id, out } = first
  const admitted = await admit(deps, { id, out, claim }, reserveIt, (reserved) => {
    const exchange = makeExchange(arrival, reserved, { claim, ended })
    callInTurn(deps, OF_A_MODEL, { exchange, others: reserved.others, tries: 1 })
  })
  if (typeof admitted === 'object') refuseRequest(deps, arrival, withTopUp(deps, admitted))
  return admitted === 'sent'
}

/** Holds the credits of a request that goes on from nothing, or from what is its own. */
const reserveOwn = (deps: GatewayDeps, arrival: Arrival): Promise<Reserved | Refusal> =>
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

const isStream = ({ view, protocol }: Exchange, headers: IncomingHttpHeaders): boolean => {
  const type = headers['content-type']
  if (type?.toLowerCase().startsWith('text/event-stream') === true) return true
  return view.stream && isStreamType(protocol, type)
}

/** How a model is called, and what becomes of its answer. */
const OF_A_MODEL: CallKind<Exchange, Bounded> = {
  called: ({ target }) => target.upstream,
  moved: movedTo,
  send(_deps, exchange, handlers) {
    forward(exchange, handlers)
  },
  bodyRefusal: ({ sent }) => sent?.stopped ?? null,
  isRepeatable: () => true,
  open(deps, exchange, answer) {
    exchange.times.firstByteMs = deps.clock.monotonicMs()
    return chooseSink(deps, exchange, answer, (answered, charged) => {
      countServed(deps, exchange, answered, charged?.estimated ?? false)
    })
  },
  refused(deps, exchange, refusal) {
    exchange.times.endedMs = deps.clock.monotonicMs()
    const { exactly, sent, ended } = exchange
    if (exactly !== undefined && sent !== undefined && sent.stopped !== null) {
      follow(deps, exchange, ended, startWhole(deps, exchange, exactly))
    } else own(deps, exchange, refuseLate(deps, exchange, refusal))
  },
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
  { status, headers, flow }: Opened,
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
