import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { micros } from '../../src/kernel/money.ts'
import type { BudgetPeriod } from '../../src/ledger/ledger.ts'
import { dayOf, periodStart } from '../../src/ledger/periods.ts'
import { checkKeySpend } from '../../src/reconcile/live.ts'
import { startTwins, TwinAccount, type Twins } from './twins.ts'

/**
 * What a key has spent of its budget is what was posted in the period and what its live holds count
 * in it: over midnights, forth and back, loads that take their time, losses of the credit state and
 * renewals that put holds back. Both engines are held against books that are kept here.
 */
const MIDNIGHT_MS = Date.UTC(2026, 1, 1) // a Sunday; a day and a month begin
const DAY_MS = 86_400_000
const KEY = 'k'
const FAR_MICROS = micros(2 ** 52)
const TOKENS = 600

let twins: Twins
beforeAll(async () => {
  twins = await startTwins()
})
afterAll(() => twins.stop())

interface Request {
  readonly holdId: string
  readonly micros: number
  readonly day: number
  readonly reservedAtMs: number
  state: 'open' | 'settled' | 'posted' | 'over'
  charge: number
  /** `accounts.version` of its posting. */
  version: number
}

/** A gateway's part of the protocol, with Postgres as a few variables. */
class Story extends TwinAccount {
  readonly requests: Request[] = []
  #version = 1
  #begun: { readonly token: string; readonly today: number } | null = null
  readonly #period: BudgetPeriod

  constructor(period: BudgetPeriod, nowMs: number) {
    super(twins, [KEY], nowMs)
    this.#period = period
  }

  in(...states: readonly Request['state'][]): Request[] {
    return this.requests.filter(({ state }) => states.includes(state))
  }

  /** Σ key_spend from a day on. */
  posted(fromDay: number): number {
    const counted = this.requests.filter(({ version, day }) => version > 0 && day >= fromDay)
    return counted.reduce((sum, { charge }) => sum + charge, 0)
  }

  async loadAccount(): Promise<void> {
    const { account: accountId } = this
    const begun = await this.both('begin-account', { accountId, token: `a${Math.random()}` })
    if (begun === 'noscript') throw new Error('the scripts are not loaded')
    const snapshot = {
      ...{ accountId, creditLimitMicros: micros(0), status: 'active' as const },
      ...{ postedMicros: micros(FAR_MICROS - this.posted(0)), version: this.#version },
      ...{ requestsPerMinute: null, tokensPerMinute: TOKENS, maxConcurrency: 1_000, changeSeq: 0 },
    }
    const reply = await this.both('load-account', { accountId, ...begun, snapshot })
    expect(reply).toEqual({ kind: 'ok' })
  }

  /** From here on `today` is what the gateway took it for, however long the rest takes. */
  async beginKey(): Promise<void> {
    const { account: accountId } = this
    const input = { accountId, keyId: KEY, token: `k${Math.random()}` }
    const begun = await this.both('begin-key', input)
    if (begun === 'noscript') throw new Error('the scripts are not loaded')
    this.#begun = { ...begun, today: dayOf(this.nowMs) }
  }

  /** Answers whether it was taken. */
  async endKey(): Promise<boolean> {
    if (this.#begun === null) return true
    const { token, today } = this.#begun
    this.#begun = null
    const { account: accountId } = this
    const periodStartDay = periodStart(this.#period, today)
    const snapshot = {
      ...{ accountId, keyId: KEY, status: 'active' as const, expiresAtMs: null },
      ...{ budgetMicros: FAR_MICROS, budgetPeriod: this.#period, periodStartDay },
      ...{ spendMicros: micros(this.posted(periodStartDay)), version: this.#version },
      lastDay: Math.max(0, ...this.requests.flatMap((r) => (r.version > 0 ? [r.day] : []))),
      ...{ requestsPerMinute: null, tokensPerMinute: TOKENS, maxConcurrency: 1_000, changeSeq: 0 },
    }
    const reply = await this.both('load-key', { accountId, keyId: KEY, token, snapshot })
    return reply !== 'noscript' && reply.kind === 'ok'
  }

  async load(): Promise<void> {
    await this.loadAccount()
    await this.beginKey()
    if (!(await this.endKey())) throw new Error('a load at once was refused')
  }

  /** What is missing is loaded, then it is asked again. */
  async ask<T>(send: () => Promise<T>): Promise<T> {
    const first = await send()
    const isStale =
      typeof first === 'object' && first !== null && 'kind' in first && first.kind === 'stale'
    if (!isStale) return first
    await this.load()
    return send()
  }

  ref(holdId: string) {
    return { accountId: this.account, keyId: KEY, holdId }
  }

  async reserve(want: number, tokens = 0) {
    const holdId = `h${this.requests.length}`
    const reply = await this.ask(() =>
      this.both('reserve', {
        ...{ ...this.ref(holdId), wantMicros: micros(want), leastMicros: micros(want) },
        ...{ fitShares: 1, tokens, keySeq: 0, leaseMs: 30_000, notAfterMs: this.nowMs },
        owner: 'one',
      }),
    )
    if (reply === 'noscript' || reply.kind !== 'ok') return reply
    const { day, reservedAtMs } = reply
    const state = { state: 'open' as const, charge: 0, version: 0 }
    this.requests.push({ holdId, micros: want, day, reservedAtMs, ...state })
    return reply
  }

  async renew(of: Request): Promise<void> {
    const { holdId, day, reservedAtMs } = of
    const reply = await this.ask(() =>
      this.both('renew', {
        ...{ ...this.ref(holdId), micros: micros(of.micros), progressMicros: micros(0), day },
        ...{ reservedAtMs, tokens: 5, leaseMs: 30_000, owner: 'one', draft: '{}' },
      }),
    )
    if (reply !== 'noscript' && reply.kind === 'ok' && reply.putBack) await this.load()
  }

  async settle(of: Request, charge: number): Promise<void> {
    of.charge = charge
    of.state = 'settled'
    await this.ask(() =>
      this.both('settle', {
        ...{ ...this.ref(of.holdId), micros: micros(charge), rev: 2 as const, tokens: 3 },
        receipt: '{}',
      }),
    )
  }

  async release(of: Request): Promise<void> {
    of.state = 'over'
    await this.ask(() => this.both('release', this.ref(of.holdId)))
  }

  post(of: Request): void {
    this.#version += 1
    of.version = this.#version
    of.state = 'posted'
  }

  async clear(all: readonly Request[]): Promise<void> {
    if (all.length === 0) return
    const items = all.map(({ holdId, version }) => ({
      holdId,
      keyId: KEY,
      rev: 2 as const,
      version,
    }))
    for (const one of all) one.state = 'over'
    const reply = await this.ask(() => this.both('clear', { accountId: this.account, items }))
    if (reply === 'noscript' || reply.kind !== 'done') return
    if (reply.items.includes('load')) await this.load()
  }

  /** What the key says now, against the books. Nothing settled may be unposted or lost. */
  async judge(): Promise<void> {
    const { account: accountId } = this
    const view = await this.both('view-key', { accountId, keyId: KEY })
    if (view === 'noscript' || view === null) return
    const versions = new Map(
      this.requests.flatMap(({ holdId, version }) => (version > 0 ? [[holdId, version]] : [])),
    )
    const said = checkKeySpend(view, this.posted(view.periodStartDay), versions)
    expect(said.map(({ detail }) => detail)).toEqual([])
    expect(view.openHolds).toBe(view.holds.filter(({ state }) => state === 'held').length)
    const account = await this.both('view-account', { accountId })
    if (account === 'noscript' || account === null) return
    expect(account.openHolds).toBe(view.openHolds)
  }

  /** What the key says that it has spent, micros. */
  async spent(): Promise<number | null> {
    const view = await this.both('view-key', { accountId: this.account, keyId: KEY })
    return view === 'noscript' || view === null ? null : view.spendMicros
  }

  /** Everything ends. What lasts of tokens per minute is full again after two minutes. */
  async quiet(): Promise<void> {
    await this.reserve(1) // where the clock went back rates fill from the next reserve on
    for (const one of this.in('open')) await this.settle(one, one.micros)
    for (const one of this.in('settled')) this.post(one)
    await this.clear(this.in('posted'))
    await this.judge()
    await this.time(this.nowMs + 120_000)
    expect(await this.reserve(1, TOKENS)).toMatchObject({ kind: 'ok' })
    await this.judge()
  }
}

type Op = (story: Story) => Promise<unknown>

const pick = fc.nat()
const one = <T>(from: readonly T[], at: number): T | undefined => from[at % from.length]

const withOne = (state: Request['state'], act: (story: Story, of: Request) => unknown) =>
  pick.map((at): Op => async (story) => {
    const of = one(story.in(state), at)
    if (of !== undefined) await act(story, of)
  })

const op = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.integer({ min: 1, max: 100 }).map(
      (want): Op =>
        (story) =>
          story.reserve(want),
    ),
  },
  { weight: 4, arbitrary: withOne('open', (story, of) => story.renew(of)) },
  { weight: 6, arbitrary: withOne('open', (story, of) => story.settle(of, (of.micros * 7) % 100)) },
  { weight: 1, arbitrary: withOne('open', (story, of) => story.release(of)) },
  {
    weight: 6,
    arbitrary: withOne('settled', (story, of) => {
      story.post(of)
    }),
  },
  { weight: 4, arbitrary: withOne('posted', (story, of) => story.clear([of])) },
  { weight: 4, arbitrary: fc.constant<Op>((story) => story.beginKey()) },
  { weight: 5, arbitrary: fc.constant<Op>((story) => story.endKey()) },
  { weight: 1, arbitrary: fc.constant<Op>((story) => story.lose()) },
  { weight: 1, arbitrary: fc.constant<Op>((story) => story.quiet()) },
  {
    weight: 5,
    arbitrary: fc.constantFrom(1, 1_000, 2_000, 20_000, DAY_MS).map(
      (ms): Op =>
        (story) =>
          story.time(story.nowMs + ms),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(500, 1_000, 20_000, 600_000).map(
      (ms): Op =>
        (story) =>
          story.time(story.nowMs - ms),
    ),
  },
)

test('what a key has spent is what was posted and what its live holds count', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom<BudgetPeriod>('day', 'week', 'month', 'total'),
      fc.integer({ min: 1, max: 3_000 }),
      fc.array(op, { minLength: 20, maxLength: 60 }),
      async (period, beforeMs, ops) => {
        const story = new Story(period, MIDNIGHT_MS - beforeMs)
        await story.time(story.nowMs)
        await story.incarnation(1)
        for (const run of ops) await run(story)
        await story.quiet()
      },
    ),
    { numRuns: 300 },
  )
}, 240_000)

test('a hold of a period that has not begun by this clock counts in it when it has', async () => {
  // The clock of a node that takes over may be behind: what was reserved past midnight comes back.
  const story = new Story('day', MIDNIGHT_MS + 100)
  await story.time(story.nowMs)
  await story.incarnation(1)
  await story.reserve(40)
  const [early] = story.requests
  if (early === undefined) throw new Error('nothing is held')
  await story.lose()
  await story.time(MIDNIGHT_MS - 500)
  await story.renew(early) // puts it back
  await story.settle(early, 30)
  story.post(early)
  await story.load()
  await story.time(MIDNIGHT_MS + 100)
  await story.reserve(5)
  await story.judge()
  await story.clear([early])
  await story.judge()
})

test('a clock that goes back over midnight forgets nothing that was counted for the new day', async () => {
  const story = new Story('day', MIDNIGHT_MS + 100)
  const reserved = async (want: number) => {
    expect(await story.reserve(want)).toMatchObject({ kind: 'ok' })
    await story.judge()
    const last = story.requests.at(-1)
    if (last === undefined) throw new Error('nothing is held')
    return last
  }
  const charged = async (want: number) => {
    const of = await reserved(want)
    await story.settle(of, want - 1)
    story.post(of)
    await story.clear([of])
    await story.judge()
  }
  await story.time(story.nowMs)
  await story.incarnation(1)
  await charged(40)
  await story.time(MIDNIGHT_MS - 500)
  await charged(7)
  const open = await reserved(3)
  await story.load()
  await story.time(MIDNIGHT_MS + 100)
  await charged(5)
  await story.settle(open, 2)
  await story.judge()
  expect(await story.spent()).toBe(39 + 4)
})
