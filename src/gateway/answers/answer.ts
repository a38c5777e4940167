import type { IncomingHttpHeaders } from 'node:http'
import {
  ANSWER_BUFFER_BYTES_MAX,
  ANSWER_HEAD_BYTES,
  ANSWER_TAIL_BYTES,
} from '../../kernel/limits/answers.ts'
import { LOOP_BYTES_MAX } from '../../kernel/limits/requests.ts'
import { ByteEnds } from '../../protocols/byte-ends.ts'
import { requestIdHeader } from '../../protocols/envelope.ts'
import { producedBeyond } from '../../protocols/output-text.ts'
import type { MeterReport } from '../../protocols/protocol.ts'
import { makeClientSide, type ClientSide } from './client-side.ts'
import type { Exchange, GatewayDeps } from '../context.ts'
import { upstreamFailure, type BodySink, type Flow } from '../forward.ts'
import { Gathered } from './gathered.ts'
import { clientHeaders } from '../headers.ts'
import { progressOf } from '../measure.ts'
import { isHeavy } from '../reading/body-reader.ts'
import { sendRefusal, sendWhole, withCost } from '../reply.ts'
import { answerToKeep, own, settle, type Charged } from '../settle.ts'

const NO_BYTES = Buffer.alloc(0)

/** What is known of an answer whose body is not at hand: everything must be estimated. */
export const unknownReport = (chars: number): MeterReport => ({
  usage: null,
  inputReported: false,
  outputReported: false,
  model: null,
  serviceTier: null,
  complete: false,
  failed: false,
  produced: producedBeyond(chars),
})

/** Sound is listened to while it comes: only its last bytes wait. */
const isSound = (headers: IncomingHttpHeaders): boolean =>
  headers['content-type']?.startsWith('audio/') === true

/**
 * A whole answer: read up to 1 MiB, metered, settled, posted, then sent. A larger one streams on
 * with its last chunk held back. The client's leaving changes nothing for DRAIN_MS_MAX: the
 * provider bills a whole answer anyway. Source: design §2.9, providers.md §1.
 */
export function makeAnswerSink(
  deps: GatewayDeps,
  exchange: Exchange,
  status: number,
  upstream: IncomingHttpHeaders,
  flow: Flow,
  done: (status: number, charged: Charged | null) => void,
): BodySink {
  const { out, times } = exchange
  const headers = clientHeaders(upstream, exchange.id, requestIdHeader(exchange.protocol.family))
  const parts: Buffer[] = []
  const keepBytesMax = isSound(upstream) && exchange.claim === null ? 0 : ANSWER_BUFFER_BYTES_MAX
  let bytes = 0
  let sent = 0 // parts already passed on, once the answer outgrew the buffer
  exchange.hold.watch(() =>
    progressOf(deps, exchange, unknownReport(bytes), status, deps.clock.monotonicMs()),
  )
  const ends = new ByteEnds(ANSWER_HEAD_BYTES, ANSWER_TAIL_BYTES)
  let large: Gathered | null = null
  let client: ClientSide | null = null
  const passOn = (): void => {
    if (!out.headersSent && !out.destroyed) out.writeHead(status, headers)
    client ??= makeClientSide(out, flow, deps.clock, () => undefined)
    for (; sent < parts.length - 1; sent += 1) {
      client.write(parts.slice(sent, sent + 1))
      if (large !== null) parts[sent] = NO_BYTES
    }
  }

  const finish = async (failure: Error | null): Promise<void> => {
    const whole = bytes <= keepBytesMax
    const answer = answerToKeep(exchange, status, headers, whole && !failure ? parts : null)
    const told = reportOf(deps, exchange, large, parts, ends)
    const report = told instanceof Promise ? await told : told
    const charged = await settle(deps, exchange, report, status, answer)
    await charged.settled.posted
    if (failure !== null) endBroken(exchange, failure)
    else if (whole) sendWhole(out, status, withCost(headers, charged), joined(parts))
    else if (!out.destroyed) out.end(parts.at(-1))
    done(failure === null || out.headersSent ? status : 502, charged)
  }
  const over = (failure: Error | null): void => {
    times.endedMs = deps.clock.monotonicMs()
    own(deps, exchange, finish(failure))
  }
  return {
    data(chunk) {
      parts.push(chunk)
      bytes += chunk.length
      if (bytes > LOOP_BYTES_MAX) (large ??= new Gathered(exchange.bodyShare)).add(parts, bytes)
      if (bytes <= keepBytesMax) return
      for (const part of ends.size === 0 ? parts : [chunk]) ends.add(part)
      passOn()
    },
    end: () => {
      over(null)
    },
    fail: over,
  }
}

/** Most answers come in one part, which needs no copy. */
const joined = (parts: readonly Buffer[]): Buffer =>
  parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)

/**
 * By the whole answer, in a thread where that takes long; by its ends where it was too large to be
 * kept, there was no room for it, or no thread could read it.
 */
function reportOf(
  { bodies }: Pick<GatewayDeps, 'bodies'>,
  { protocol }: Exchange,
  large: Gathered | null,
  parts: readonly Buffer[],
  ends: ByteEnds,
): MeterReport | Promise<MeterReport> {
  const byEnds = (tail: Buffer, head: Buffer, bytes: number): MeterReport =>
    protocol.meterTail?.(tail, head) ?? unknownReport(bytes)
  const isOfEnds = large?.isGivenUp === true && ends.size > 0
  if (isOfEnds) return byEnds(ends.tail(), ends.head(), ends.size)
  const body = large?.bytes() ?? joined(parts)
  if (!isHeavy(body)) return protocol.meterAnswer(body)
  const [tail, head] = [body.subarray(-ANSWER_TAIL_BYTES), body.subarray(0, ANSWER_HEAD_BYTES)]
  return bodies.meter(protocol, body).then((report) => report ?? byEnds(tail, head, body.length))
}

/** A body that broke off: an error where nothing was sent, else a broken connection. */
function endBroken(exchange: Exchange, failure: Error): void {
  const { out, protocol, id } = exchange
  if (out.headersSent) out.destroy()
  else sendRefusal(out, protocol.family, id, upstreamFailure(failure))
}
