import { expect, it } from 'vitest'
import { makeReserving } from '../../src/credits/reserving.ts'
import { UnknownOutcomeError } from '../../src/kernel/errors.ts'
import { RESERVE_MS_MAX } from '../../src/kernel/limits/holds.ts'
import { REDIS_COMMAND_MS_MAX } from '../../src/kernel/limits/stores.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { micros } from '../../src/kernel/money.ts'
import { makeManualClock } from '../ledger/memory-clock.ts'

const DRAFT = {
  holdId: 'h1',
  accountId: 'a',
  keyId: 'k',
  startedAtMs: 0,
  protocol: 'openai-chat',
  endpoint: 'chat/completions',
  upstream: 'openai',
  model: 'm',
  stream: false,
  estimated: false,
  usage: {},
  providerCostPicoUsd: '0',
  priceVersion: 'v',
  httpStatus: null,
  firstByteMs: null,
  durationMs: null,
}

it('is refused after two seconds where Redis is silent; its release follows every try', async () => {
  const clock = makeManualClock(1_000_000)
  const events: string[] = []
  const silence = (name: string) =>
    new Promise<never>((_resolve, reject) => {
      events.push(`${name} sent`)
      clock.after(REDIS_COMMAND_MS_MAX, () => {
        events.push(`${name} over`)
        reject(new UnknownOutcomeError('silent'))
      })
    })
  const reserve = makeReserving({
    engine: {
      reserve: ({ holdId }) => silence(`reserve ${holdId}`),
      release: ({ holdId }) => silence(`release ${holdId}`),
    },
    loads: { account: () => Promise.resolve('loaded'), key: () => Promise.resolve('loaded') },
    changes: { sweep: () => Promise.resolve(), look: () => Promise.resolve(false) },
    time: { now: () => Promise.resolve(clock.now()), known: () => null, learn: () => undefined },
    clock,
    log: silentLog,
    owner: 'o',
    leaseMs: 30_000,
  })
  const startedMs = clock.now()
  let tookMs = Infinity
  const credits = { wantMicros: micros(1), leastMicros: micros(1) }
  const request = { draft: DRAFT, ...credits, tokens: 1, keySeq: 0 }
  const reply = reserve(request).then((refusal) => {
    tookMs = clock.now() - startedMs
    return refusal
  })
  await clock.pass(10_000)
  expect(await reply).toMatchObject({ ok: false, code: 'gateway_unavailable' })
  expect(tookMs).toBeLessThanOrEqual(RESERVE_MS_MAX + 200)
  expect(events).toEqual([
    'reserve h1 sent',
    'reserve h1 over',
    'reserve h1 sent',
    'reserve h1 over',
    'release h1 sent',
    'release h1 over',
  ])
})
