import { describe, expect, it } from 'vitest'
import type { AccountView, HoldView } from '../../src/credits/commands.ts'
import { micros } from '../../src/kernel/money.ts'
import { checkAvailable, checkLeases, checkReservations } from '../../src/reconcile/live.ts'

const madeAtMs = Date.parse('2026-06-01T00:00:00Z')
const idAt = (ms: number, n: number) => {
  const hex = ms.toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${String(n).padStart(12, '0')}`
}

const hold = (n: number, state: HoldView['state'], amount: number): HoldView => ({
  accountId: 'a',
  keyId: 'k',
  holdId: idAt(madeAtMs, n),
  state,
  micros: micros(amount),
  progressMicros: micros(0),
  rev: state === 'held' ? 0 : 2,
  day: 1,
  deadlineMs: madeAtMs + 30_000,
})

const view = (available: number, holds: readonly HoldView[]): AccountView => ({
  accountId: 'a',
  availableMicros: micros(available),
  creditLimitMicros: micros(10),
  status: 'active',
  changeSeq: 1,
  loadVersion: 5,
  ...{ requestsPerMinute: null, tokensPerMinute: null, maxConcurrency: null, openHolds: 0 },
  holds,
})

const account = (posted: number) => ({
  id: 'a',
  posted_micros: micros(posted),
  debt_micros: micros(0),
  limit_micros: micros(10),
  status: 'active' as const,
  version: 9,
  change_seq: 1,
  changed_at: madeAtMs - 1_000,
})

describe('I2', () => {
  const settled = hold(1, 'settled', 30)
  const check = (available: number, posted: number, version?: number) =>
    checkAvailable(
      account(posted),
      view(available, [settled, hold(2, 'held', 20)]),
      new Map(version === undefined ? [] : [[settled.holdId, version]]),
    )

  it('counts what is held and what is settled and not posted', () => {
    expect(check(50, 100)).toEqual([])
    expect(check(51, 100)).toMatchObject([{ invariant: 'I2' }])
  })
  it('does not count what was posted after the load', () => {
    expect(check(50, 70, 6)).toEqual([])
    expect(check(20, 70, 6)).toHaveLength(1)
  })
  it('counts what the load already contained and has not given back', () => {
    expect(check(20, 70, 5)).toEqual([])
    expect(check(50, 70, 5)).toHaveLength(1)
  })
})

describe('I7', () => {
  it('lets a hold outlive its lease by three sweeps and no longer', () => {
    const deadline = madeAtMs + 30_000
    const one = view(0, [hold(1, 'held', 1)])
    expect(checkLeases(one, deadline + 300, 100)).toEqual([])
    expect(checkLeases(one, deadline + 301, 100)).toMatchObject([{ invariant: 'I7' }])
  })
})

describe('I8', () => {
  const held = [hold(1, 'held', 60), hold(2, 'held', 60)]
  const before = madeAtMs - 1

  it('blames the holds where they alone took it below the limit', () => {
    expect(checkReservations(account(100), view(-20, held), before)).toMatchObject([
      { invariant: 'I8' },
    ])
    expect(checkReservations(account(110), view(-10, held), before)).toEqual([])
  })
  it('blames nobody where a movement, a change, or a charge may have done it', () => {
    expect(checkReservations(account(100), view(-20, held), madeAtMs + 1)).toEqual([])
    const changed = { ...account(100), changed_at: madeAtMs + 1 }
    expect(checkReservations(changed, view(-20, held), before)).toEqual([])
    const charged = [...held, hold(3, 'settled', 5)]
    expect(checkReservations(account(100), view(-25, charged), before)).toEqual([])
    expect(checkReservations(account(-50), view(-170, held), before)).toEqual([])
  })
})
