import { expect, test } from 'vitest'
import { makeEngineTime } from '../../src/credits/engine-time.ts'
import { makeLoads } from '../../src/credits/load.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { ZERO } from '../../src/kernel/money.ts'
import { dayOf } from '../../src/ledger/periods.ts'

const MIDNIGHT_MS = Date.UTC(2026, 1, 1)

test('a key is loaded for the day that the clock of the engine went back to', async () => {
  const engineNow = { ms: MIDNIGHT_MS + 1_000 }
  const engine = { timeMs: () => Promise.resolve(engineNow.ms) }
  const time = makeEngineTime(engine, systemClock)
  expect(dayOf(await time.now())).toBe(dayOf(MIDNIGHT_MS))
  engineNow.ms = MIDNIGHT_MS - 60_000
  const days: number[] = []
  const loads = makeLoads({
    engine: {
      ...engine,
      beginKey: () => Promise.resolve({ token: 'token', wasLoaded: true }),
      loadKey: (_token, _accountId, { periodStartDay }) => {
        days.push(periodStartDay)
        return Promise.resolve({ kind: periodStartDay === dayOf(engineNow.ms) ? 'ok' : 'refused' })
      },
      beginAccount: () => Promise.reject(new Error('only a key is loaded here')),
      loadAccount: () => Promise.reject(new Error('only a key is loaded here')),
    },
    ledger: {
      snapshotAccount: () => Promise.resolve(null),
      snapshotKey: (accountId, keyId, today) =>
        Promise.resolve({
          ...{ accountId, keyId, status: 'active', expiresAtMs: null, budgetMicros: ZERO },
          ...{ budgetPeriod: 'day', periodStartDay: today, spendMicros: ZERO, lastDay: 0 },
          ...{ requestsPerMinute: null, tokensPerMinute: null, maxConcurrency: null },
          ...{ version: 1, changeSeq: 0 },
        }),
    },
    ...{ time, clock: systemClock, log: silentLog, onLoad: () => undefined },
  })
  expect(await loads.key('account', 'key', 'missing')).toBe('loaded')
  expect(days).toEqual([dayOf(MIDNIGHT_MS), dayOf(MIDNIGHT_MS) - 1])
})
