import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { expect, it } from 'vitest'
import type { OpenHold } from '../../src/credits/holds.ts'
import { makeHttpApis } from '../../src/gateway/http/apis.ts'
import type { HttpArrival, HttpDeps } from '../../src/gateway/http/exchange.ts'
import { handleHttp } from '../../src/gateway/http/handle.ts'
import { makeRunning } from '../../src/gateway/running.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { micros } from '../../src/kernel/money.ts'
import { only } from '../support/only.ts'

const [api] = makeHttpApis([
  {
    name: 'api',
    baseUrl: 'http://127.0.0.1:9',
    headers: {},
    ...{ methods: null, units: null, chargesErrors: false, onDisconnect: 'abort', fallback: [] },
    ...{ requestBytesMax: 1_000, responseBytesMax: 1_000, secondsMax: 1, responseMsMax: 1_000 },
    breakerSettings: { failurePercent: 50, callsMin: 10, openMs: 1_000 },
  },
]).all

const price = {
  ...{ version: 'v', modelPattern: '*', maxOutputTokens: null, contextTokens: null },
  coversTokens: false,
}

function arrivalAt(now: number): HttpArrival {
  if (api === undefined) throw new Error('no API')
  const request = new IncomingMessage(new Socket())
  request.method = 'GET'
  return only<HttpArrival>({
    ...{ id: 'one', api, request, query: '', startedAtMs: now, startedMonoMs: now },
    at: { ok: true, plain: '/x', path: '/x' },
    out: new ServerResponse(request),
    caller: {
      ...{ keyId: 'k', keyKind: 'client', accountId: 'a', keySeq: 1, markup: null },
      accountStatus: 'active',
      ...{ models: null, endpoints: null, planModels: null, planEndpoints: null },
    },
  })
}

it('a request that fails before it is sent leaves no hold', async () => {
  const heard: string[] = []
  const hold = only<OpenHold>({
    ok: true,
    ensureFresh: () => Promise.reject(new Error('a fault of ours')),
    release() {
      heard.push('released')
      return Promise.resolve(true)
    },
  })
  const running = makeRunning()
  const deps = only<HttpDeps>({
    running,
    holds: {
      open: () => Promise.resolve(hold),
      blocked: () => Promise.resolve(null),
      openCount: 0,
    },
    prices: only<HttpDeps['prices']>({ find: () => price, boundMicros: () => micros(5) }),
    clock: systemClock,
  })
  await expect(handleHttp(deps, arrivalAt(0))).rejects.toThrow('a fault of ours')
  expect(heard).toEqual(['released'])
  expect(running.count).toBe(0)
})
