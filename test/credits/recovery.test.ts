import { describe, expect, it } from 'vitest'
import type { LapsedHold, RecoverReply } from '../../src/credits/commands.ts'
import { makeRecovery } from '../../src/credits/recovery.ts'
import { RECOVERIES_MAX } from '../../src/kernel/limits/holds.ts'
import { PARKED_RETRY_MS } from '../../src/kernel/limits/posting.ts'
import { silentLog, type LogFields } from '../../src/kernel/log.ts'
import { micros } from '../../src/kernel/money.ts'
import type { PostOutcome } from '../../src/ledger/receipt.ts'
import { makeManualClock } from '../ledger/memory-clock.ts'

const RENEWAL_MS = 1_000

const RECEIPT = {
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
  httpStatus: 200,
  firstByteMs: null,
  durationMs: null,
}

/** A recovery over holds that are lapsed for good: `owing` must be posted, others released. */
function world(owing: number, plain: number, outcome: Promise<PostOutcome>) {
  const clock = makeManualClock(0)
  const hold = (holdId: string): LapsedHold => ({
    accountId: 'a',
    keyId: 'k',
    holdId,
    deadlineMs: 1,
  })
  const lapsed = new Map<string, LapsedHold>()
  for (let n = 0; n < owing; n++) lapsed.set(`post-${n}`, hold(`post-${n}`))
  for (let n = 0; n < plain; n++) lapsed.set(`plain-${n}`, hold(`plain-${n}`))
  const asked: string[] = []
  const told: LogFields[] = []
  const submitted: string[] = []
  const answer = ({ holdId }: { holdId: string }): RecoverReply => {
    asked.push(holdId)
    if (holdId.startsWith('plain')) {
      lapsed.delete(holdId)
      return { kind: 'released' }
    }
    const receipt = JSON.stringify({ ...RECEIPT, holdId, accountId: 'a', keyId: 'k' })
    return { kind: 'post', micros: micros(5), rev: 1, receipt, day: 0, reservedAtMs: 0 }
  }
  const recovery = makeRecovery({
    engine: {
      lapsed: () => Promise.resolve([...lapsed.values()]),
      recover: (command) => Promise.resolve(answer(command)),
    },
    poster: {
      submit: ({ receipt }) => {
        submitted.push(receipt.holdId)
        return { outcome, wait: () => Promise.resolve('posted') }
      },
    },
    loads: { account: () => Promise.resolve('loaded'), key: () => Promise.resolve('loaded') },
    clearing: { clear: () => Promise.resolve(), flush: () => Promise.resolve() },
    clock,
    log: { ...silentLog, info: (fields) => void told.push(fields) },
    renewalMs: RENEWAL_MS,
    onRecovered: () => undefined,
  })
  const sweep = async (): Promise<void> => {
    await recovery.sweep()
    await clock.pass(RENEWAL_MS)
  }
  return { clock, recovery, asked, submitted, lapsed, told, sweep }
}

const away = new Promise<PostOutcome>(() => undefined)

describe('recovery while Postgres is away', () => {
  it('releases holds without progress behind any number of posts that wait', async () => {
    const { sweep, lapsed } = world(RECOVERIES_MAX * 2, 3, away)
    await sweep()
    await sweep()
    expect([...lapsed.keys()].filter((id) => id.startsWith('plain'))).toEqual([])
  })

  it('keeps no more posts waiting than it may, and asks about the others once', async () => {
    const { sweep, submitted, asked } = world(RECOVERIES_MAX + 10, 0, away)
    for (let round = 0; round < 5; round++) await sweep()
    expect(submitted).toHaveLength(RECOVERIES_MAX)
    expect(asked).toHaveLength(RECOVERIES_MAX + 10)
  })
})

describe('what recovery came to', () => {
  it('is told once a sweep, in numbers', async () => {
    const posted = Promise.resolve({ holdId: 'post', kind: 'noop' as const, version: 1 })
    const { sweep, told, lapsed } = world(30, 20, posted)
    await sweep()
    await sweep()
    lapsed.clear()
    for (let round = 0; round < 3; round++) await sweep()
    expect(told).toEqual([{ released: 20, posted: 0, posted_before: 30, parked: 0 }])
  })

  it('tells of its last sweep when it is asked to, once', async () => {
    const { recovery, sweep, told } = world(0, 3, away)
    await sweep()
    await sweep()
    expect(told).toEqual([])
    recovery.tell()
    recovery.tell()
    expect(told).toEqual([{ released: 3, posted: 0, posted_before: 0, parked: 0 }])
  })
})

describe('a receipt that was parked', () => {
  it('is not posted at every sweep, but again when a person may have removed the cause', async () => {
    const parked = Promise.resolve({ holdId: 'post-0', kind: 'parked' as const, version: 0 })
    const { sweep, submitted, clock } = world(1, 0, parked)
    for (let round = 0; round < 6; round++) await sweep()
    expect(submitted).toEqual(['post-0'])
    await clock.pass(PARKED_RETRY_MS)
    await sweep()
    expect(submitted).toEqual(['post-0', 'post-0'])
  })
})
