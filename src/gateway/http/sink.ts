import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { ANSWER_BUFFER_BYTES_MAX, DRAINS_MAX, DRAIN_MS_MAX } from '../../kernel/limits/answers.ts'
import { makeClientSide, type ClientSide } from '../answers/client-side.ts'
import type { Opened } from '../call.ts'
import type { GatewayDeps } from '../context.ts'
import { upstreamFailure, type BodySink, type Flow } from '../forward.ts'
import { clientHeaders, type OutgoingHeaders } from '../headers.ts'
import { sendBodiless, sendRefusal, sendWhole, withCost } from '../reply.ts'
import { own } from '../settle.ts'
import { makeKeeper, type Keeper } from '../answers/stream.ts'
import { CUT } from './error-sink.ts'
import type { HttpExchange } from './exchange.ts'
import { makeGates } from './gates.ts'
import { keptAnswer } from './kept-answer.ts'
import { locationFor } from './location.ts'
import { makeHttpMeter, type HttpCharged, type HttpMeter } from './meter.ts'

/** whole: it came to its end. broken: the upstream broke off. cut: by us, past a limit. */
type Ending = 'whole' | 'broken' | 'cut'

type Done = (status: number, charged: HttpCharged) => void

/**
 * An answer of a named API that is charged. Short ones of known length are sent whole, with their
 * cost; others pass as they come, and only their end waits for the post. Source: design §2.9.
 */
class HttpSink implements BodySink {
  readonly #deps: GatewayDeps
  readonly #exchange: HttpExchange
  readonly #status: number
  readonly #headers: OutgoingHeaders
  readonly #flow: Flow
  readonly #meter: HttpMeter
  readonly #client: ClientSide
  readonly #done: Done
  readonly #keeper: Keeper
  readonly #cancelLimit: () => void
  /** Parts of an answer that is sent whole; null = it streams. */
  readonly #parts: Buffer[] | null
  #ending: Ending | null = null
  #stopDraining = (): void => undefined

  constructor(deps: GatewayDeps, exchange: HttpExchange, answer: Opened, done: Done) {
    const { status, headers, flow } = answer
    const gate = makeGates(flow)
    const { api, out, times } = exchange
    this.#deps = deps
    this.#exchange = exchange
    this.#status = status
    this.#flow = flow
    this.#done = done
    this.#headers = clientHeaders(headers, exchange.id, 'x-request-id')
    const location = locationFor({ ...api, name: exchange.named }, headers.location)
    if (location !== null) this.#headers.location = location
    this.#meter = makeHttpMeter(deps, exchange, { status, headers, flow: gate() })
    this.#keeper = makeKeeper(exchange)
    this.#parts = isShort(exchange, status, headers) ? [] : null
    this.#client = makeClientSide(out, gate(), deps.clock, () => {
      this.#leave()
    })
    const leftMs = api.secondsMax * 1_000 - (deps.clock.monotonicMs() - times.calledMs)
    this.#cancelLimit = deps.clock.after(Math.max(0, leftMs), () => {
      this.#cut()
    })
  }

  begin(): this {
    const { hold, out } = this.#exchange
    hold.watch(() => this.#meter.progress())
    if (!this.#client.gone && this.#parts === null) {
      out.writeHead(this.#status, this.#headers)
      out.flushHeaders()
    }
    return this
  }

  data(chunk: Buffer): void {
    if (this.#ending !== null) return
    const room = this.#exchange.api.responseBytesMax - this.#meter.responseBytes
    const part = chunk.length <= room ? chunk : chunk.subarray(0, room)
    this.#meter.data(part)
    this.#keeper.add([part])
    if (this.#parts === null) this.#client.write([part])
    else this.#parts.push(part)
    if (chunk.length > room) this.#cut()
  }

  end(): void {
    this.#startEnding('whole')
  }

  fail(): void {
    this.#startEnding('broken')
  }

  #cut(): void {
    this.#startEnding('cut')
    this.#flow.abort()
  }

  #leave(): void {
    if (this.#ending !== null) return
    const { api } = this.#exchange
    const { hooks, drains, clock } = this.#deps
    hooks.clientGone(api.name)
    if (api.onDisconnect === 'abort' || drains.count >= DRAINS_MAX) {
      this.#cut()
      return
    }
    drains.count += 1
    const cancel = clock.after(DRAIN_MS_MAX, () => {
      this.#cut()
    })
    this.#stopDraining = () => {
      cancel()
      drains.count -= 1
    }
  }

  #startEnding(how: Ending): void {
    if (this.#ending !== null) return
    this.#ending = how
    this.#stopDraining()
    this.#cancelLimit()
    this.#exchange.times.endedMs = this.#deps.clock.monotonicMs()
    own(this.#deps, this.#exchange, this.#finish(how))
  }

  async #finish(how: Ending): Promise<void> {
    const { out, id } = this.#exchange
    const parts = how === 'whole' ? this.#keeper.parts() : null
    const answer = keptAnswer(this.#exchange.claim, this.#status, this.#headers, parts)
    const charged = await this.#meter.settle(how === 'whole', answer)
    await charged.settled.posted
    if (how !== 'whole') {
      // The client must not take a part for the whole.
      if (out.headersSent) out.destroy()
      else if (how === 'cut') sendRefusal(out, 'openai', id, CUT)
      else sendRefusal(out, 'openai', id, upstreamFailure(new Error('broken off')))
    } else if (this.#parts === null) this.#client.end()
    else this.#sendWhole(this.#parts, charged)
    this.#done(this.#status, charged)
  }

  #sendWhole(parts: readonly Buffer[], charged: HttpCharged): void {
    const { out, request } = this.#exchange
    const headers = withCost(this.#headers, charged)
    if (isBodiless(request, this.#status)) sendBodiless(out, this.#status, headers)
    else sendWhole(out, this.#status, headers, Buffer.concat(parts))
  }
}

/** Such answers have no body, whatever their headers say. */
export const isBodiless = ({ method }: IncomingMessage, status: number): boolean =>
  method === 'HEAD' || status === 204 || status === 304

function isShort(
  { request, api }: HttpExchange,
  status: number,
  headers: IncomingHttpHeaders,
): boolean {
  if (isBodiless(request, status)) return true
  const length = Number(headers['content-length'] ?? Number.NaN)
  return length <= Math.min(ANSWER_BUFFER_BYTES_MAX, api.responseBytesMax)
}

export function makeHttpSink(
  deps: GatewayDeps,
  exchange: HttpExchange,
  answer: Opened,
  done: Done,
): BodySink {
  return new HttpSink(deps, exchange, answer, done).begin()
}
