import { describe, expect, it } from 'vitest'
import type { CreditEngine, Renew } from '../../src/credits/commands.ts'
import type { Loads } from '../../src/credits/load.ts'
import { makeRenewals, type Renewable } from '../../src/credits/renewals.ts'
import { RENEWALS_A_TURN, RENEWALS_SPREAD_MS } from '../../src/kernel/limits/holds.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { micros } from '../../src/kernel/money.ts'
import { makeManualClock } from '../ledger/memory-clock.ts'

const LEASE_MS = 30_000

const draftOf = (holdId: string): Renewable['draft'] => ({
  ...{ holdId, accountId: 'a', keyId: 'k', startedAtMs: 0 },
  ...{ protocol: 'p', endpoint: 'e', upstream: 'u', model: 'm' },
  ...{ stream: true, estimated: true, usage: {}, providerCostPicoUsd: '0', priceVersion: 'v' },
  ...{ httpStatus: 200, firstByteMs: null, durationMs: null },
})

const holdOf = (holdId: string): Renewable => ({
  ref: { accountId: 'a', keyId: 'k', holdId },
  ...{ micros: micros(5), day: 0, reservedAtMs: 0, tokens: 1, draft: draftOf(holdId) },
  ...{ readProgress: null, dueMs: LEASE_MS / 3, leasedMs: 0 },
  ...{ ended: false, lost: false, renewing: null, place: null },
})

/** `count` holds that came at once, and when each was renewed. Timers come `lagMs` late. */
function world(count: number, lagMs = 0) {
  const clock = makeManualClock(0)
  const renewedMs = new Map<string, number>()
  const renew = ({ holdId }: Renew) => {
    renewedMs.set(holdId, clock.monotonicMs())
    return Promise.resolve({ kind: 'ok', putBack: false } as const)
  }
  const renewals = makeRenewals({
    ...{ engine: { renew } as unknown as CreditEngine, loads: {} as Loads, log: silentLog },
    clock: { ...clock, after: (ms, run) => clock.after(ms + lagMs, run) },
    ...{ owner: 'o', leaseMs: LEASE_MS, retryMs: 1_000 },
  })
  const holds = Array.from({ length: count }, (_, n) => holdOf(`h${n}`))
  for (const hold of holds) renewals.add(hold)
  return { clock, renewals, holds, renewedMs }
}

/** Of each moment, how many were renewed in it. */
function perTurn(renewedMs: ReadonlyMap<string, number>): number[] {
  const turns = new Map<number, number>()
  for (const atMs of renewedMs.values()) turns.set(atMs, (turns.get(atMs) ?? 0) + 1)
  return [...turns.values()]
}

describe('renewals', () => {
  it('leave the event loop to others between a few and the next few', async () => {
    const { clock, renewals, renewedMs } = world(1_000)
    await clock.pass(LEASE_MS / 3)
    const ticking = renewals.tick()
    await clock.pass(RENEWALS_SPREAD_MS * 2)
    await ticking
    expect(renewedMs.size).toBe(1_000)
    expect(Math.max(...perTurn(renewedMs))).toBe(RENEWALS_A_TURN)
  })

  it.each([0, 20])('come in time however many there are: timers %d ms late', async (lagMs) => {
    const { clock, renewals, renewedMs } = world(20_000, lagMs)
    await clock.pass(LEASE_MS / 3)
    const ticking = renewals.tick()
    await clock.pass(10_000)
    await ticking
    expect(renewedMs.size).toBe(20_000)
    const lastMs = Math.max(...renewedMs.values()) - LEASE_MS / 3
    expect(lastMs).toBeLessThanOrEqual(RENEWALS_SPREAD_MS + lagMs)
  })

  it('leave out what ended, was lost or was renewed while others had their turn', async () => {
    const { clock, renewals, holds, renewedMs } = world(100)
    await clock.pass(LEASE_MS / 3)
    const ticking = renewals.tick()
    const [gone, lost, renewed] = holds.slice(-3)
    if (gone === undefined || lost === undefined || renewed === undefined) throw new Error('few')
    gone.ended = true
    lost.lost = true
    await renewals.renew(renewed)
    const atMs = renewedMs.get(renewed.ref.holdId)
    await clock.pass(1_000)
    await ticking
    expect(renewedMs.size).toBe(98)
    expect(renewedMs.get(renewed.ref.holdId)).toBe(atMs)
  })
})
