import type { IncomingHttpHeaders } from 'node:http'
import { AFTER_TERMINAL_MS_MAX, DRAINS_MAX } from '../../kernel/limits/answers.ts'
import { IDEMPOTENT_ANSWER_BYTES_MAX } from '../../kernel/limits/idempotency.ts'
import { requestIdHeader } from '../../protocols/envelope.ts'
import type { StreamTap } from '../../protocols/protocol.ts'
import { makeClientSide, type ClientSide } from './client-side.ts'
import type { Exchange, GatewayDeps } from '../context.ts'
import { upstreamFailure, type BodySink, type Flow } from '../forward.ts'
import { clientHeaders, type OutgoingHeaders } from '../headers.ts'
import { progressOf } from '../measure.ts'
import { isStreamType } from './stream-type.ts'
import { answerToKeep, own, settle, type Charged } from '../settle.ts'

/** Who goes on with an answer that its provider makes whether or not anybody reads it. */
export interface Follower {
  /** It was read to its end and is charged. */
  finished(): Promise<void>
  /** Nobody reads it any more: it is charged when it has ended. */
  left(): Promise<void>
}

type Done = (status: number, charged: Charged | null) => void

/** How a stream came to its end, which decides what the client still gets. */
type Ending =
  /** The terminal event was seen; it and what follows wait for the post. */
  | 'terminal'
  /** The upstream closed cleanly without one. */
  | 'closed'
  /** The upstream broke off. */
  | 'broken'
  /** The client left and the upstream was cut off. */
  | 'cut'

/** What was sent, for duplicates of an idempotent request; forgotten past its bound. */
export interface Keeper {
  add(parts: readonly Buffer[]): void
  parts(): Buffer[] | null
}

export function makeKeeper(exchange: Pick<Exchange, 'claim'>): Keeper {
  let kept: Buffer[] | null = exchange.claim === null ? null : []
  let bytes = 0
  return {
    add(parts) {
      if (kept === null) return
      for (const part of parts) bytes += part.length
      if (bytes > IDEMPOTENT_ANSWER_BYTES_MAX) kept = null
      else kept.push(...parts)
    },
    parts: () => kept,
  }
}

/**
 * A streamed answer: every byte passes as it came, save the usage chunk we asked for; the terminal
 * event waits until the charge is posted. Source: design §2.6–§2.9, providers.md §1 and §6.
 */
class StreamSink implements BodySink {
  readonly #deps: GatewayDeps
  readonly #exchange: Exchange
  readonly #status: number
  readonly #headers: OutgoingHeaders
  readonly #flow: Flow
  readonly #done: Done
  readonly #follower: Follower | null
  readonly #tap: StreamTap
  readonly #keeper: Keeper
  readonly #client: ClientSide
  readonly #finals: Buffer[] = []
  #ending: Ending | null = null
  /** The finals were written: later bytes pass directly. */
  #flushed = false
  #upstreamEnded = false
  #stopDraining = (): void => undefined
  #stopWaiting = (): void => undefined

  constructor(
    deps: GatewayDeps,
    exchange: Exchange,
    status: number,
    headers: OutgoingHeaders,
    flow: Flow,
    done: Done,
    follower: Follower | null,
  ) {
    const { view, protocol, out, injectedUsage } = exchange
    this.#deps = deps
    this.#exchange = exchange
    this.#status = status
    this.#headers = headers
    this.#flow = flow
    this.#done = done
    this.#follower = follower
    const isOwnType = isStreamType(protocol, headers['content-type'])
    this.#tap = protocol.makeStreamTap(view, { stripUsageChunk: injectedUsage, isOwnType })
    this.#keeper = makeKeeper(exchange)
    this.#client = makeClientSide(out, flow, deps.clock, () => {
      this.#leave()
    })
  }

  begin(): this {
    const { clock } = this.#deps
    const { hold, out } = this.#exchange
    hold.watch(() =>
      progressOf(this.#deps, this.#exchange, this.#tap.report(), this.#status, clock.monotonicMs()),
    )
    if (!this.#client.gone) {
      out.writeHead(this.#status, this.#headers)
      out.flushHeaders()
    }
    return this
  }

  data(chunk: Buffer): void {
    const { pass, final } = this.#tap.push(chunk)
    this.#take(pass, final)
    if (this.#tap.terminal) this.#startEnding('terminal')
  }

  end(): void {
    const { pass, final } = this.#tap.end()
    this.#take(pass, final)
    this.#upstreamEnded = true
    this.#startEnding(this.#tap.terminal ? 'terminal' : 'closed')
    this.#close()
  }

  fail(): void {
    this.#upstreamEnded = true
    let how: Ending = 'broken'
    try {
      // Half an event before the error would make the client's parser fail: it is dropped.
      if (this.#tap.terminal) {
        this.#take([], this.#tap.end().final)
        how = 'terminal'
      }
    } finally {
      this.#startEnding(how) // or it would keep its place among those that drain for good
    }
    this.#close()
  }

  #take(pass: readonly Buffer[], final: readonly Buffer[]): void {
    this.#client.write(pass)
    this.#keeper.add(pass)
    if (final.length === 0) return
    if (this.#flushed) this.#client.write(final)
    else this.#finals.push(...final)
  }

  #close(): void {
    if (!this.#flushed || !this.#upstreamEnded) return
    this.#stopWaiting() // its timer would keep the whole request in memory
    this.#client.end()
  }

  #leave(): void {
    if (this.#ending !== null) return
    const { upstream } = this.#exchange.target
    const { hooks, drains } = this.#deps
    hooks.clientGone(upstream.name)
    const isCut = this.#follower !== null || upstream.onDisconnect === 'abort'
    if (isCut || drains.count >= DRAINS_MAX) {
      this.#startEnding('cut')
      this.#flow.abort()
    } else {
      drains.count += 1
      this.#stopDraining = () => {
        drains.count -= 1
      }
    }
  }

  #startEnding(how: Ending): void {
    if (this.#ending !== null) return
    this.#ending = how
    this.#stopDraining()
    this.#exchange.times.endedMs = this.#deps.clock.monotonicMs()
    own(this.#deps, this.#exchange, this.#finish(how))
  }

  /** The tail the client is owed for this ending, in its protocol's words. */
  #tail(how: Ending): Buffer[] {
    if (how === 'terminal' || how === 'cut' || this.#tap.report().failed) return this.#finals
    const failure = upstreamFailure(new Error('the stream ended before its terminal event'))
    const { code, message } = failure
    const said = this.#tap.streamError?.(code, message)
    return [...this.#finals, said ?? this.#exchange.protocol.streamError(code, message)]
  }

  async #finish(how: Ending): Promise<void> {
    const deps = this.#deps
    const exchange = this.#exchange
    const last = this.#tail(how)
    if (this.#follower !== null && how !== 'terminal') {
      await this.#follower.left()
      this.#finishWith(last, null)
      return
    }
    const kept = this.#keeper.parts()
    const whole = how === 'terminal' && kept !== null ? [...kept, ...last] : null
    const answer = answerToKeep(exchange, this.#status, this.#headers, whole)
    const charged = await settle(deps, exchange, this.#tap.report(), this.#status, answer)
    await charged.settled.posted
    if (how !== 'terminal') this.#upstreamEnded = true
    else if (!this.#upstreamEnded) {
      this.#stopWaiting = deps.clock.after(AFTER_TERMINAL_MS_MAX, () => {
        this.#upstreamEnded = true
        this.#close()
        this.#flow.abort()
      })
    }
    this.#finishWith(how === 'terminal' ? this.#finals : last, charged)
    await this.#follower?.finished()
  }

  #finishWith(last: readonly Buffer[], charged: Charged | null): void {
    this.#client.write(last)
    this.#flushed = true
    if (charged === null) this.#upstreamEnded = true
    this.#close()
    this.#done(this.#status, charged)
  }
}

export function makeStreamSink(
  deps: GatewayDeps,
  exchange: Exchange,
  status: number,
  upstream: IncomingHttpHeaders,
  flow: Flow,
  done: Done,
  follower: Follower | null = null,
): BodySink {
  const idHeader = requestIdHeader(exchange.protocol.family)
  const headers = clientHeaders(upstream, exchange.id, idHeader)
  headers['cache-control'] ??= 'no-cache'
  return new StreamSink(deps, exchange, status, headers, flow, done, follower).begin()
}
