import type { IncomingHttpHeaders } from 'node:http'
import {
  AFTER_TERMINAL_MS_MAX,
  DRAIN_MS_MAX,
  DRAINS_MAX,
  IDEMPOTENT_ANSWER_BYTES_MAX,
} from '../kernel/limits.ts'
import { requestIdHeader } from '../protocols/envelope.ts'
import { makeClientSide } from './client-side.ts'
import type { Exchange, GatewayDeps } from './context.ts'
import { upstreamFailure, type BodySink, type Flow } from './forward.ts'
import { clientHeaders, type OutgoingHeaders } from './headers.ts'
import { progressOf } from './measure.ts'
import { answerToKeep, own, settle, waitPosted, type Charged } from './settle.ts'

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
function makeKeeper(exchange: Exchange): {
  add(parts: readonly Buffer[]): void
  parts(): Buffer[] | null
} {
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
export function makeStreamSink(
  deps: GatewayDeps,
  exchange: Exchange,
  status: number,
  upstream: IncomingHttpHeaders,
  flow: Flow,
  done: Done,
): BodySink {
  const { out, protocol, times } = exchange
  const headers: OutgoingHeaders = clientHeaders(
    upstream,
    exchange.id,
    requestIdHeader(protocol.family),
  )
  const tap = protocol.makeStreamTap(exchange.view, { stripUsageChunk: exchange.injectedUsage })
  const keeper = makeKeeper(exchange)
  const monoMs = (): number => deps.clock.monotonicMs()
  const finals: Buffer[] = []
  let ending: Ending | null = null
  let flushed = false // finals were written: later bytes pass directly
  let upstreamEnded = false
  let stopDraining = (): void => undefined
  exchange.hold.watch(() => progressOf(deps, exchange, tap.report(), status, monoMs()))

  const close = (): void => {
    if (!flushed || !upstreamEnded) return
    client.end()
  }
  /** The tail the client is owed for this ending, in its protocol's words. */
  const tail = (how: Ending): Buffer[] => {
    const report = tap.report()
    if (how === 'terminal' || how === 'cut' || report.failed) return finals
    const failure = upstreamFailure(new Error('the stream ended before its terminal event'))
    return [...finals, protocol.streamError(failure.code, failure.message)]
  }
  const finish = async (how: Ending): Promise<void> => {
    const last = tail(how)
    const keep = keeper.parts()
    const answer = how === 'terminal' && keep !== null ? [...keep, ...last] : null
    const charged = await settle(
      deps,
      exchange,
      tap.report(),
      status,
      answerToKeep(exchange, status, headers, answer),
    )
    await waitPosted(deps, charged)
    client.write(how === 'terminal' ? finals : last)
    flushed = true
    if (how !== 'terminal') upstreamEnded = true
    else
      deps.clock.after(AFTER_TERMINAL_MS_MAX, () => {
        upstreamEnded = true
        close()
      })
    close()
    done(status, charged)
  }
  const startEnding = (how: Ending): void => {
    if (ending !== null) return
    ending = how
    stopDraining()
    times.endedMs = monoMs()
    own(deps, exchange, finish(how))
  }
  const leave = (): void => {
    if (ending !== null) return
    deps.hooks.clientGone(exchange.target.upstream.name)
    if (exchange.target.upstream.onDisconnect === 'abort' || deps.drains.count >= DRAINS_MAX) {
      startEnding('cut')
      flow.abort()
    } else {
      stopDraining = drain(deps, flow)
    }
  }
  const client = makeClientSide(out, flow, deps.clock, leave)
  headers['cache-control'] ??= 'no-cache'
  if (client.gone) {
    leave()
  } else {
    out.writeHead(status, headers)
    out.flushHeaders()
  }
  const take = (pass: readonly Buffer[], final: readonly Buffer[]): void => {
    client.write(pass)
    keeper.add(pass)
    if (final.length === 0) return
    if (flushed) client.write(final)
    else finals.push(...final)
  }
  return {
    data(chunk) {
      const { pass, final } = tap.push(chunk)
      take(pass, final)
      if (tap.terminal) startEnding('terminal')
    },
    end() {
      const { pass, final } = tap.end()
      take(pass, final)
      upstreamEnded = true
      startEnding(tap.terminal ? 'terminal' : 'closed')
      close()
    },
    fail() {
      // Half an event before the error would make the client's parser fail: it is dropped.
      if (tap.terminal) take([], tap.end().final)
      upstreamEnded = true
      startEnding(tap.terminal ? 'terminal' : 'broken')
      close()
    },
  }
}

/** Reads on for the usage after the client left, bounded in time and in number. */
function drain(deps: GatewayDeps, flow: Flow): () => void {
  deps.drains.count += 1
  const cancel = deps.clock.after(DRAIN_MS_MAX, flow.abort)
  return () => {
    cancel()
    deps.drains.count -= 1
  }
}
