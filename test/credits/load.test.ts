import { expect, test } from 'vitest'
import { makeLoads } from '../../src/credits/load.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { ZERO } from '../../src/kernel/money.ts'
import { dayOf } from '../../src/ledger/periods.ts'

const MIDNIGHT_MS = Date.UTC(2026, 1, 1)

test('a key is loaded for the day of the node that has it', async () => {
  const nowMs = MIDNIGHT_MS - 60_000
  const days: number[] = []
  const loads = makeLoads({
    engine: {
      beginKey: () => Promise.resolve({ token: 'token', wasLoaded: true, nowMs }),
      loadKey: (_token, _accountId, { periodStartDay }) => {
        days.push(periodStartDay)
        return Promise.resolve({ kind: periodStartDay === dayOf(nowMs) ? 'ok' : 'refused' })
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
    ...{ clock: systemClock, log: silentLog, onLoad: () => undefined },
  })
  expect(await loads.key('account', 'key', 'missing')).toBe('loaded')
  expect(days).toEqual([dayOf(nowMs)])
})
