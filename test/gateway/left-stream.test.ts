import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Dispatcher } from 'undici'
import { describe, expect, it } from 'vitest'
import type { OpenHold, SettleFinal } from '../../src/credits/holds.ts'
import type { Exchange, GatewayDeps } from '../../src/gateway/context.ts'
import { dispatch, type BodySink, type Flow } from '../../src/gateway/forward.ts'
import type { HttpApi } from '../../src/gateway/http/apis.ts'
import type { HttpDeps, HttpExchange } from '../../src/gateway/http/exchange.ts'
import { makeHttpSink } from '../../src/gateway/http/sink.ts'
import { makeStreamSink } from '../../src/gateway/answers/stream.ts'
import { AFTER_TERMINAL_MS_MAX } from '../../src/kernel/limits/answers.ts'
import { micros } from '../../src/kernel/money.ts'
import { openaiChat } from '../../src/protocols/openai-chat.ts'
import type { Protocol, RequestView, StreamTap } from '../../src/protocols/protocol.ts'
import { makeManualClock } from '../ledger/memory-clock.ts'
import { ask, bookOf, priceOf } from '../pricing/support.ts'
import { only } from '../support/only.ts'
import { until } from '../support/until.ts'

const EVENTS = { 'content-type': 'text/event-stream' }
const TEXT = 'data: {"model":"llama","choices":[{"index":0,"delta":{"content":"Rain."}}]}\n\n'
const LAST =
  'data: {"model":"llama","choices":[],"usage":{"prompt_tokens":31,"completion_tokens":123}}\n\n' +
  'data: [DONE]\n\n'

const prices = bookOf({
  prices: [
    { upstream: 'local', model: '*', input_usd_per_mtok: '1', output_usd_per_mtok: '2' },
    { upstream: 'api', per_request_usd: '0.01' },
  ],
})

/** What both kinds of requests have, and how they end. */
function begun() {
  const clock = makeManualClock(0)
  const out = new ServerResponse(new IncomingMessage(new Socket()))
  const finals: SettleFinal[] = []
  const settled = { availableMicros: null, posted: Promise.resolve('posted' as const) }
  const hold = only<OpenHold>({
    micros: micros(1_000),
    watch: () => undefined,
    settle(final) {
      finals.push(final)
      return Promise.resolve(settled)
    },
  })
  const exchange = {
    ...{ id: 'one', out, hold, claim: null, startedMonoMs: 0, startedAtMs: 0 },
    draft: only<Exchange['draft']>({}),
    ended: () => undefined,
  }
  const deps = only<HttpDeps>({
    ...{ clock, prices, drains: { count: 0 } },
    tokens: { count: () => Promise.resolve(null) },
    hooks: only<GatewayDeps['hooks']>({ clientGone: () => undefined }),
  })
  return { clock, out, finals, exchange, deps }
}

type Open = (flow: Flow) => BodySink

function stream(
  begin: ReturnType<typeof begun>,
  onDisconnect: 'abort' | 'drain' = 'abort',
  protocol: Protocol = openaiChat,
): Open {
  const query = ask('local', 'llama')
  const view = { ok: true, model: 'llama', stream: true, serviceTier: null, wantsUsageChunk: true }
  const exchange = only<Exchange>({
    ...begin.exchange,
    ...{ protocol, injectedUsage: false },
    view: { ...view, inputText: () => [], inputTokensBeyondText: 0 } as unknown as RequestView,
    target: {
      ...{ query, price: priceOf(prices, query) },
      upstream: only<Exchange['target']['upstream']>({ name: 'local', onDisconnect }),
      bound: { inputTokensMax: 99, outputTokensMax: 999, webSearchesMax: 0, serviceTier: null },
    },
    times: { sentMs: 0, firstByteMs: 0, endedMs: 0, countedMs: 0 },
  })
  return (flow) => makeStreamSink(begin.deps, exchange, 200, EVENTS, flow, () => undefined)
}

function namedApi(begin: ReturnType<typeof begun>): Open {
  const query = ask('api', 'GET /x')
  const exchange = only<HttpExchange>({
    ...begin.exchange,
    ...{ named: 'api', priceQuery: query, price: priceOf(prices, query) },
    api: only<HttpApi>({
      ...{ name: 'api', onDisconnect: 'abort', units: null, basePath: '' },
      ...{ responseBytesMax: 1_000_000, secondsMax: 60 },
    }),
    request: begin.out.req,
    sent: { bytes: 0, failure: null },
    times: { sentMs: 0, calledMs: 0, firstByteMs: 0, endedMs: 0, countedMs: 0 },
  })
  return (flow) =>
    makeHttpSink(begin.deps, exchange, { status: 200, headers: EVENTS, flow }, () => undefined)
}

/** An upstream's answer by what its connection tells, in one turn or in several. */
function answering(open: Open) {
  let handler: Dispatcher.DispatchHandler = {}
  let aborted = false
  const controller = only<Dispatcher.DispatchController>({
    pause: () => undefined,
    resume: () => undefined,
    get aborted() {
      return aborted
    },
    abort(reason) {
      aborted = true
      handler.onResponseError?.(controller, reason)
    },
  })
  const dispatcher = only<Dispatcher>({
    dispatch(_options, given) {
      handler = given
      return true
    },
  })
  const faults: string[] = []
  const fault = (error: Error): void => {
    faults.push(error.message)
  }
  dispatch(
    dispatcher,
    { path: '/', method: 'GET' },
    { open: (_status, _headers, flow) => open(flow), refused: fault, faulty: fault, broken: fault },
  )
  return {
    faults,
    isAborted: () => aborted,
    head: () => handler.onResponseStart?.(controller, 200, EVENTS),
    data: (text: string) => handler.onResponseData?.(controller, Buffer.from(text)),
    end: () => handler.onResponseEnd?.(controller, {}),
  }
}

describe('a client that leaves while bytes wait that were read from the upstream', () => {
  const usage = { input_tokens: 31, output_tokens: 123 }

  it.each(['before they came', 'behind them'])(
    '%s: is charged by the usage in them',
    async (at) => {
      const begin = begun()
      const from = answering(stream(begin))
      if (at === 'before they came') begin.out.destroy()
      else {
        from.head()
        from.data(TEXT)
        await new Promise(setImmediate)
        expect(begin.out.headersSent).toBe(true)
      }
      if (at === 'before they came') from.head()
      from.data(LAST)
      if (at !== 'before they came') begin.out.destroy()
      await until(() => begin.finals.length > 0)
      expect(begin.finals).toMatchObject([{ draft: { usage, estimated: false } }])
    },
  )

  it('is charged for the text in them where the usage is not', async () => {
    const begin = begun()
    const from = answering(stream(begin))
    from.head()
    await new Promise(setImmediate)
    from.data(TEXT)
    begin.out.destroy()
    await until(() => begin.finals.length > 0)
    expect(begin.finals).toMatchObject([
      { draft: { usage: { output_tokens: 2 }, estimated: true } },
    ])
  })

  it('of a named API pays for the bytes in them', async () => {
    const begin = begun()
    const from = answering(namedApi(begin))
    from.head()
    await new Promise(setImmediate)
    from.data(TEXT)
    begin.out.destroy()
    await until(() => begin.finals.length > 0)
    expect(begin.finals).toMatchObject([{ draft: { usage: { response_bytes: TEXT.length } } }])
  })
})

it('a stream that goes on behind its terminal event is not read for good', async () => {
  const begin = begun()
  const from = answering(stream(begin))
  from.head()
  from.data(LAST)
  await until(() => begin.finals.length > 0)
  await begin.clock.pass(AFTER_TERMINAL_MS_MAX - 1)
  from.data(': on\n\n')
  await new Promise(setImmediate)
  expect([begin.out.writableEnded, from.isAborted()]).toEqual([false, false])
  await begin.clock.pass(1)
  expect([begin.out.writableEnded, from.isAborted()]).toEqual([true, true])
  await new Promise(setImmediate)
  expect([begin.finals.length, from.faults]).toEqual([1, []])
})

describe('a stream that is read on for nobody', () => {
  const broken = (): never => {
    throw new Error('a fault of ours')
  }
  const tap = openaiChat.makeStreamTap(only<RequestView>({}), {
    stripUsageChunk: false,
    isOwnType: true,
  })
  const faulty: StreamTap = {
    push: broken,
    end: broken,
    terminal: true,
    report: () => tap.report(),
  }
  const protocol = { ...openaiChat, makeStreamTap: () => faulty }

  it.each(['left', 'stayed'])(
    'gives its place back, whatever its end comes to: its client %s',
    async (how) => {
      const begin = begun()
      const from = answering(stream(begin, 'drain', protocol))
      from.head()
      await new Promise(setImmediate)
      if (how === 'left') begin.out.destroy()
      await until(() => begin.deps.drains.count === (how === 'left' ? 1 : 0))
      from.data(TEXT)
      await until(() => from.faults.length > 1)
      begin.out.destroy() // as what owns such a fault does
      await until(() => begin.out.closed)
      await new Promise(setImmediate)
      expect(from.faults).toEqual(['a fault of ours', 'a fault of ours'])
      expect(begin.deps.drains.count).toBe(0)
    },
  )
})
