import type { ServerResponse } from 'node:http'
import { errors } from 'undici'
import { describe, expect, it } from 'vitest'
import type { OpenHold } from '../../src/credits/holds.ts'
import { callInTurn, type Call, type CallKind } from '../../src/gateway/call.ts'
import type { GatewayDeps } from '../../src/gateway/context.ts'
import type { Served } from '../../src/gateway/count-served.ts'
import type { BodySink, Flow, ForwardHandlers } from '../../src/gateway/forward.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { refuse, type Refusal } from '../../src/kernel/errors.ts'
import { only } from '../support/only.ts'

/** What one call comes to. */
type Outcome =
  | { readonly status: number }
  | { readonly failure: Error; readonly wasSent: boolean; readonly body?: Refusal }

const REFUSED = new Error('connect ECONNREFUSED')
const unreached = (failure: Error = REFUSED): Outcome => ({ failure, wasSent: false })
const brokenOff: Outcome = { failure: new Error('other side closed'), wasSent: true }

interface Way {
  readonly name: string
  readonly isOpen?: boolean
  readonly isTooDear?: boolean
}

const sink: BodySink = { data: () => undefined, end: () => undefined, fail: () => undefined }
const flow: Flow = { pause: () => undefined, resume: () => undefined, abort: () => undefined }

interface Exchange extends Served {
  readonly id: string
  readonly at: Way
  readonly hold: OpenHold
  readonly claim: null
  readonly out: ServerResponse
  readonly ended: () => void
  body: Refusal | null
}

/** Calls `ways` in turn; the calls come to `outcomes`, in their order. Tells what was done. */
async function called(
  ways: readonly Way[],
  outcomes: readonly Outcome[],
  more: { isRepeatable?: boolean; isFresh?: boolean; leaves?: boolean } = {},
): Promise<string[]> {
  const heard: string[] = []
  const left = [...outcomes]
  const over = Promise.withResolvers<undefined>()
  const end = (what: string): void => {
    heard.push(what)
    over.resolve(undefined)
  }
  const deps = only<GatewayDeps>({
    clock: systemClock,
    hooks: {
      requestDone: () => undefined,
      clientGone: () => undefined,
      upstreamCalled: (name, result) => heard.push(`${name} ${result}`),
    },
    log: only<GatewayDeps['log']>({ debug: () => undefined, error: end.bind(null, 'fault') }),
  })
  const [first, ...others] = ways
  if (first === undefined) throw new Error('nobody to call')
  const exchange: Exchange = {
    ...{ id: 'one', at: first, claim: null, body: null, startedMonoMs: 0 },
    draft: { protocol: 'p', upstream: first.name },
    times: { sentMs: 0, endedMs: 0, countedMs: 0 },
    hold: only<OpenHold>({
      ensureFresh: () => more.isFresh ?? true,
      release() {
        end('released')
        return Promise.resolve(true)
      },
    }),
    out: only<ServerResponse>({ destroyed: more.leaves ?? false }),
    ended: () => undefined,
  }
  const calledAt = ({ name, isOpen = false }: Way): ReturnType<typeof kind.called> => ({
    name,
    breaker: {
      admit: () => !isOpen,
      report: (outcome) => heard.push(`${name}: ${outcome}`),
      ...{ open: isOpen, openMs: 7, close: () => undefined },
    },
  })
  const kind: CallKind<Exchange, Way> = {
    called: (of) => calledAt('at' in of ? of.at : of),
    moved: (_deps, from, at) => (at.isTooDear === true ? null : { ...from, at }),
    send(_deps, to, handlers) {
      answer(to, handlers)
    },
    bodyRefusal: ({ body }) => body,
    isRepeatable: () => more.isRepeatable ?? true,
    open(_deps, { at }, { status }) {
      end(`${at.name} serves ${status}`)
      return sink
    },
    refused(_deps, { at }, { code, retryAfterMs }) {
      end(`refused at ${at.name}: ${code}${retryAfterMs === undefined ? '' : ` ${retryAfterMs}`}`)
    },
  }
  const answer = (to: Exchange, handlers: ForwardHandlers): void => {
    const outcome = left.shift()
    if (outcome === undefined) throw new Error('called once more')
    if ('status' in outcome) handlers.open(outcome.status, {}, flow)
    else {
      to.body = outcome.body ?? null
      handlers.refused(outcome.failure, outcome.wasSent)
    }
  }
  const call: Call<Exchange, Way> = { exchange, others, tries: 1 }
  callInTurn(deps, kind, call)
  await over.promise
  expect(left).toEqual([])
  return heard
}

const [a, b, c] = [{ name: 'a' }, { name: 'b' }, { name: 'c' }]

describe('who serves a request', () => {
  it('is the first one, where it answers', async () => {
    const heard = await called([a, b], [{ status: 200 }])
    expect(heard).toEqual(['a: answered', 'a answered', 'a serves 200'])
  })
  it.each([429, 503, 529])('is the next one, where the first did no work: %i', async (status) => {
    const heard = await called([a, b], [{ status }, { status: 200 }])
    expect(heard.slice(1)).toEqual(['a passed_on', 'b: answered', 'b answered', 'b serves 200'])
  })
  it.each([400, 500, 502, 504])(
    'is the first one, where it may have worked: %i',
    async (status) => {
      expect((await called([a, b], [{ status }])).at(-1)).toBe(`a serves ${status}`)
    },
  )
  it('is the next one, where the first has no connection', async () => {
    const heard = await called([a, b], [unreached(), { status: 200 }])
    expect(heard.slice(0, 2)).toEqual(['a: failed', 'a passed_on'])
    expect(heard.at(-1)).toBe('b serves 200')
  })
  it('is nobody, where the first broke off: it may be at work', async () => {
    const heard = await called([a, b], [brokenOff])
    expect(heard).toEqual(['a: failed', 'a failed', 'refused at a: upstream_error'])
  })
  it('is the last one left, with what it says', async () => {
    const heard = await called([a, b], [unreached(), { status: 503 }])
    expect(heard.slice(-3)).toEqual(['b: failed', 'b failed', 'b serves 503'])
  })
  it('is not one that is kept away, or costs more than is held', async () => {
    const ways = [
      { ...a, isOpen: true },
      { ...b, isOpen: true },
      { ...c, isTooDear: true },
    ]
    expect(await called([...ways, { name: 'd' }], [{ status: 200 }])).toEqual([
      ...['a kept_away', 'd: answered', 'd answered', 'd serves 200'],
    ])
    expect(await called(ways, [])).toEqual(['a kept_away', 'refused at a: gateway_unavailable 7'])
  })
  it('is the first one, where the body that it got cannot be sent again', async () => {
    const heard = await called([a, b], [{ status: 429 }], { isRepeatable: false })
    expect(heard.at(-1)).toBe('a serves 429')
  })
})

describe('a connection that fails at once', () => {
  it('is tried once more where there is nobody else', async () => {
    const heard = await called([a], [unreached(), { status: 200 }])
    expect(heard).toEqual(['a: failed', 'a failed', 'a: answered', 'a answered', 'a serves 200'])
  })
  it('is not tried a third time', async () => {
    expect((await called([a], [unreached(), unreached()])).at(-1)).toMatch(/^refused at a/)
  })
  it('is not tried again once it took its time', async () => {
    const late = new errors.ConnectTimeoutError()
    expect((await called([a], [unreached(late)])).at(-1)).toBe('refused at a: upstream_timeout')
  })
})

it('a body that its client did not send whole says nothing of who was called', async () => {
  const body = refuse('request_too_large', 'Too large.')
  const heard = await called([a, b], [{ failure: REFUSED, wasSent: false, body }])
  expect(heard).toEqual(['a: unknown', 'refused at a: request_too_large'])
})
it('a request whose client left is not called elsewhere', async () => {
  const heard = await called([a, b], [{ status: 429 }], { leaves: true })
  expect(heard.at(-1)).toBe('released')
})
it('a request whose hold was lost is not called elsewhere', async () => {
  const heard = await called([a, b], [unreached()], { isFresh: false })
  expect(heard.at(-1)).toBe('refused at b: gateway_unavailable')
})
