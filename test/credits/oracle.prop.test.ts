import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { micros } from '../../src/kernel/money.ts'
import type { AccountSnapshot, BudgetPeriod, KeySnapshot } from '../../src/ledger/ledger.ts'
import { startTwins, TwinAccount, type Twins } from './twins.ts'

/**
 * The Lua scripts, run by a real Redis, and the embedded engine give the same answers and hold the
 * same state after any sequence of commands.
 */
const START_MS = Date.UTC(2026, 0, 30, 23, 59, 50)

let twins: Twins
beforeAll(async () => {
  twins = await startTwins()
})
afterAll(() => twins.stop())

type Op = (world: World) => Promise<void>

/** One account on both sides, and what the sequence has seen of it. */
class World extends TwinAccount {
  readonly tokens = new Map<string, string>()

  constructor() {
    super(twins, KEYS, START_MS)
  }
}

const KEYS = ['plain', 'limited', 'other']
const key = fc.constantFrom(...KEYS)
const hold = fc.constantFrom('h1', 'h2', 'h3', 'h4')
const DAY = Math.floor(START_MS / 86_400_000)

/** Mostly small sums, at times the largest ones. */
/** Now and then fifteen digits, which Lua prints wrongly by itself; a sequence of them adds up. */
const amount = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 0, max: 1_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(2 ** 47 - 1, 2 ** 47 - 12_345) },
)
const version = fc.integer({ min: 1, max: 12 })

/** A hold belongs to one key for good: every command names both. */
const keyOf = (holdId: string): string => KEYS[Number(holdId.slice(1)) % KEYS.length] ?? 'plain'

const ref = (world: World, holdId: string) => ({
  accountId: world.account,
  keyId: keyOf(holdId),
  holdId,
})

const reserve = fc
  .record({
    hold,
    want: amount,
    cut: fc.integer({ min: 0, max: 10 }),
    shares: fc.integer({ min: 1, max: 8 }),
    tokens: fc.integer({ min: 0, max: 200 }),
    leaseMs: fc.integer({ min: 1, max: 40_000 }),
    late: fc.boolean(),
    keySeq: fc.constantFrom(0, 0, 0, 0, 3),
  })
  .map((r): Op => async (world) => {
    await world.both('reserve', {
      ...ref(world, r.hold),
      wantMicros: micros(r.want),
      leastMicros: micros(Math.floor((r.want * (10 - r.cut)) / 10)),
      fitShares: r.shares,
      keySeq: r.keySeq,
      tokens: r.tokens,
      leaseMs: r.leaseMs,
      notAfterMs: world.nowMs + (r.late && r.cut === 0 ? -1 : 0),
      owner: 'gateway one',
    })
  })

/**
 * What comes in one turn of the event loop travels in one script call: the answers are those of one
 * command after the other, key by key, also where an id is there twice, or an account is missing.
 */
const burst = fc
  .record({
    keys: fc.subarray(KEYS, { minLength: 1 }),
    strangers: fc.boolean(),
    wants: fc.array(fc.tuple(fc.integer({ min: 1, max: 12 }), amount, amount), {
      minLength: 1,
      maxLength: 4,
    }),
    settles: fc.boolean(),
  })
  .map((r): Op => async (world) => {
    const stranger = r.strangers ? [{ accountId: `${world.account} unknown`, keyId: 'k' }] : []
    const places = r.keys.map((keyId) => ({ accountId: world.account, keyId }))
    const commands = [...places.slice(0, 1), ...stranger, ...places.slice(1)].flatMap((place) =>
      r.wants.map(([n, want, used]) => ({
        ...place,
        holdId: `b${place.keyId}${n}`,
        n,
        want,
        used,
      })),
    )
    await world.together(
      'reserve',
      commands.map(({ n, want, used: _, ...ref }) => ({
        ...ref,
        wantMicros: micros(want),
        leastMicros: micros(Math.floor(want / n)),
        fitShares: 4,
        keySeq: 0,
        tokens: n * 20,
        leaseMs: 30_000,
        notAfterMs: world.nowMs + (n === 12 ? -1 : 0),
        owner: 'gateway one',
      })),
    )
    if (!r.settles) return
    await world.together(
      'settle',
      commands.map(({ n, used, want: _, ...ref }) => ({
        ...ref,
        micros: micros(used),
        rev: n === 1 ? (1 as const) : (2 as const),
        tokens: n,
        receipt: `{"micros":${used}}`,
      })),
    )
  })

const renew = fc
  .record({
    hold,
    micros: amount,
    progress: fc.integer({ min: 0, max: 500 }),
    day: fc.integer({ min: DAY - 2, max: DAY + 2 }),
    tokens: fc.integer({ min: 0, max: 200 }),
  })
  .map((r): Op => async (world) => {
    await world.both('renew', {
      ...ref(world, r.hold),
      micros: micros(r.micros),
      progressMicros: micros(r.progress),
      day: r.day,
      reservedAtMs: world.nowMs - 5,
      tokens: r.tokens,
      leaseMs: 30_000,
      owner: 'gateway two',
      draft: `{"ä":${r.progress}}`,
    })
  })

const settle = fc
  .record({ hold, micros: amount, rev: fc.constantFrom(1 as const, 2 as const) })
  .map((r): Op => async (world) => {
    await world.both('settle', {
      ...ref(world, r.hold),
      micros: micros(r.micros),
      rev: r.rev,
      tokens: r.micros % 300,
      receipt: `{"micros":${r.micros}}`,
    })
  })

const release = fc.record({ hold, isUncounted: fc.boolean() }).map((r): Op => async (world) => {
  await world.both('release', { ...ref(world, r.hold), isUncounted: r.isUncounted })
})

/** Recovers with the deadline as it stands, or with another one. */
const recover = fc
  .record({ hold, shift: fc.constantFrom(0, 0, 0, 1) })
  .map((r): Op => async (world) => {
    const view = await world.both('view-account', { accountId: world.account })
    const found =
      view !== null && view !== 'noscript'
        ? view.holds.find((one) => one.holdId === r.hold)
        : undefined
    await world.both('recover', {
      ...ref(world, r.hold),
      deadlineMs: (found?.deadlineMs ?? world.nowMs) + r.shift,
    })
  })

const clear = fc
  .array(fc.record({ hold, rev: fc.constantFrom(1 as const, 2 as const), version }), {
    minLength: 1,
    maxLength: 5,
  })
  .map((items): Op => async (world) => {
    await world.both('clear', {
      accountId: world.account,
      items: items.map((item) => ({ ...item, holdId: item.hold, keyId: keyOf(item.hold) })),
    })
  })

const beginAccount: Op = async (world) => {
  const input = { accountId: world.account, token: randomUUID() }
  const reply = await world.both('begin-account', input)
  if (reply !== 'noscript') world.tokens.set('account', reply.token)
}

const loadAccount = fc
  .record({
    posted: fc.oneof(amount, fc.integer({ min: -500, max: 0 })),
    limit: fc.constantFrom(0, 0, 300),
    status: fc.constantFrom('active' as const, 'active' as const, 'frozen' as const),
    version,
    changeSeq: fc.integer({ min: 0, max: 5 }),
    rpm: fc.constantFrom(null, null, 2, 600),
    tpm: fc.constantFrom(null, null, 150, 1_500),
    concurrency: fc.constantFrom(null, null, 2),
    begins: fc.integer({ min: 0, max: 9 }),
  })
  .map((r): Op => async (world) => {
    if (r.begins > 2) await beginAccount(world)
    await world.both('load-account', {
      accountId: world.account,
      token: world.tokens.get('account') ?? 'none',
      snapshot: {
        accountId: world.account,
        postedMicros: micros(r.posted),
        creditLimitMicros: micros(r.limit),
        status: r.status,
        requestsPerMinute: r.rpm,
        tokensPerMinute: r.tpm,
        maxConcurrency: r.concurrency,
        version: r.version,
        changeSeq: r.changeSeq,
      },
    })
  })

const beginKey = (keyId: string): Op => {
  return async (world) => {
    const reply = await world.both('begin-key', {
      accountId: world.account,
      keyId,
      token: randomUUID(),
    })
    if (reply !== 'noscript') world.tokens.set(keyId, reply.token)
  }
}

const limits = fc.record({
  status: fc.constantFrom('active' as const, 'active' as const, 'revoked' as const),
  expiresInMs: fc.constantFrom(null, null, null, -1, 100_000),
  budgetMicros: fc.constantFrom(null, 1_000, 3_000, 2 ** 53 - 1),
  period: fc.constantFrom<BudgetPeriod>('day', 'week', 'month', 'total'),
  startShift: fc.constantFrom(0, 0, 0, -1, 1),
  spend: fc.integer({ min: 0, max: 500 }),
  lastShift: fc.constantFrom(0, 0, -1, 1, 7),
  rpm: fc.constantFrom(null, 1, 7, 600),
  tpm: fc.constantFrom(null, 100, 1_000),
  concurrency: fc.constantFrom(null, 1, 3),
})

const loadKey = fc
  .record({
    keyId: key,
    limits,
    version,
    changeSeq: fc.integer({ min: 0, max: 5 }),
    begins: fc.integer({ min: 0, max: 9 }),
  })
  .map((r): Op => {
    return async (world) => {
      const { keyId } = r
      if (r.begins > 2) await beginKey(keyId)(world)
      const { account: accountId } = world
      const token = world.tokens.get(keyId) ?? 'none'
      await world.both('load-key', { accountId, keyId, token, snapshot: snapshotOf(world, r) })
    }
  })

function snapshotOf(
  world: World,
  r: {
    keyId: string
    version: number
    changeSeq: number
    limits: typeof limits extends fc.Arbitrary<infer T> ? T : never
  },
): KeySnapshot {
  const { version: at, changeSeq, keyId } = r
  const facts = { keyId, accountId: world.account, version: at, changeSeq }
  const none = { requestsPerMinute: null, tokensPerMinute: null, maxConcurrency: null }
  const unlimited = { ...none, budgetMicros: null, budgetPeriod: null, expiresAtMs: null }
  const spend = { periodStartDay: 0, spendMicros: micros(0), lastDay: 0 }
  if (r.keyId === 'plain') return { ...facts, ...unlimited, ...spend, status: 'active' }
  const l = r.limits
  const today = Math.floor(world.nowMs / 86_400_000)
  const date = new Date(world.nowMs)
  const starts: Record<BudgetPeriod, number> = {
    day: today,
    week: today - ((date.getUTCDay() + 6) % 7),
    month: Math.floor(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1) / 86_400_000),
    total: 0,
  }
  return {
    ...facts,
    status: l.status,
    expiresAtMs: l.expiresInMs === null ? null : world.nowMs + l.expiresInMs,
    budgetMicros: l.budgetMicros === null ? null : micros(l.budgetMicros),
    budgetPeriod: l.budgetMicros === null ? null : l.period,
    periodStartDay: Math.max(0, starts[l.period] + l.startShift),
    spendMicros: micros(l.spend),
    lastDay: today + l.lastShift,
    requestsPerMinute: l.rpm,
    tokensPerMinute: l.tpm,
    maxConcurrency: l.concurrency,
  }
}

const step = fc
  .oneof(
    fc.integer({ min: 0, max: 5 }),
    fc.integer({ min: 0, max: 45_000 }),
    fc.constantFrom(3_600_000, 86_400_000, 7 * 86_400_000, 29 * 86_400_000, -1_000, -3_600_000),
  )
  .map(
    (ms): Op =>
      (world) =>
        world.time(world.nowMs + ms),
  )

/** At times the number changes, forth or back: what was loaded under another one is stale. */
const incarnation = fc.constantFrom(1, 1, 1, 2, 3).map(
  (inc): Op =>
    (world) =>
      world.incarnation(inc),
)

const op = fc.oneof(
  { weight: 8, arbitrary: reserve },
  { weight: 5, arbitrary: burst },
  { weight: 4, arbitrary: renew },
  { weight: 5, arbitrary: settle },
  { weight: 2, arbitrary: release },
  { weight: 3, arbitrary: recover },
  { weight: 4, arbitrary: clear },
  { weight: 4, arbitrary: loadAccount },
  { weight: 4, arbitrary: loadKey },
  { weight: 5, arbitrary: step },
  { weight: 2, arbitrary: fc.constant<Op>((world) => world.compareLapsed()) },
  { weight: 1, arbitrary: incarnation },
  { weight: 1, arbitrary: fc.constant(beginAccount) },
)

/** Sequences begin with a loaded account and keys, so that most commands do something. */
const opening = fc.tuple(loadAccount, loadKey, loadKey, loadKey)

test('scripts and embedded engine agree on every sequence of commands', async () => {
  await fc.assert(
    fc.asyncProperty(
      opening,
      fc.array(op, { minLength: 20, maxLength: 60 }),
      async (first, ops) => {
        const world = new World()
        await world.incarnation(1)
        await world.time(START_MS)
        for (const run of [...first, ...ops]) await run(world)
        await world.compareViews()
        for (const run of ops.slice(0, 6)) {
          await run(world)
          await world.compareViews()
        }
      },
    ),
    { numRuns: 320 },
  )
}, 240_000)

/** Who asks through a key with these limits, in an account with those. */
async function limited(
  world: World,
  ofKey: Pick<KeySnapshot, 'requestsPerMinute'>,
  ofAccount: Pick<AccountSnapshot, 'requestsPerMinute' | 'tokensPerMinute'>,
) {
  const { account: accountId } = world
  const none = { requestsPerMinute: null, tokensPerMinute: null, maxConcurrency: null }
  const facts = { accountId, ...none, version: 1, changeSeq: 0, status: 'active' } as const
  await world.incarnation(1)
  await world.time(START_MS)
  await beginAccount(world)
  await world.both('load-account', {
    accountId,
    token: world.tokens.get('account') ?? '',
    snapshot: {
      ...{ ...facts, postedMicros: micros(1_000), creditLimitMicros: micros(0) },
      ...ofAccount,
    },
  })
  await beginKey('limited')(world)
  await world.both('load-key', {
    ...{ accountId, keyId: 'limited', token: world.tokens.get('limited') ?? '' },
    snapshot: {
      ...{ ...facts, keyId: 'limited', expiresAtMs: null, lastDay: 0 },
      ...{ budgetMicros: null, budgetPeriod: null, periodStartDay: 0, spendMicros: micros(0) },
      ...ofKey,
    },
  })
  return async (holdId: string, tokens = 1) => {
    const ref = { accountId, keyId: 'limited', holdId, wantMicros: micros(1) }
    const rest = { leastMicros: micros(1), fitShares: 1, keySeq: 0, leaseMs: 30_000, owner: 'one' }
    return world.both('reserve', { ...ref, ...rest, tokens, notAfterMs: world.nowMs })
  }
}

const rate = (limit: string, of: string, retryAfterMs: number) =>
  ({ kind: 'rate', limit, of, retryAfterMs }) as const

test('rates go on filling after the clock went back, from then on', async () => {
  const world = new World()
  const ofAccount = { requestsPerMinute: null, tokensPerMinute: 60 }
  const ask = await limited(world, { requestsPerMinute: 2 }, ofAccount)
  expect([await ask('h1', 60), await ask('h2', 0)]).toMatchObject([{ kind: 'ok' }, { kind: 'ok' }])
  await world.time(START_MS - 3_600_000)
  expect(await ask('h3')).toEqual(rate('requests', 'key', 30_000))
  await world.time(world.nowMs + 29_999)
  expect(await ask('h3', 31)).toEqual(rate('requests', 'key', 1))
  await world.time(world.nowMs + 1)
  expect(await ask('h3', 31)).toEqual(rate('tokens', 'account', 1_000))
  expect(await ask('h3', 30)).toMatchObject({ kind: 'ok' })
  expect(await ask('h4')).toEqual(rate('requests', 'key', 30_000))
})

test.each(['key', 'account'])('a request is given back once, of the %s', async (of) => {
  const world = new World()
  const per = (whose: string) => ({ requestsPerMinute: of === whose ? 1 : null })
  const ask = await limited(world, per('key'), { ...per('account'), tokensPerMinute: null })
  const release = (hold: string, isUncounted: boolean) =>
    world.both('release', { accountId: world.account, keyId: 'limited', holdId: hold, isUncounted })
  expect(await ask('h1')).toMatchObject({ kind: 'ok' })
  await release('h1', true)
  await release('h1', true)
  expect(await ask('h2')).toMatchObject({ kind: 'ok' })
  expect(await ask('h3')).toEqual(rate('requests', of, 60_000))
  await release('h2', false)
  expect(await ask('h3')).toEqual(rate('requests', of, 60_000))
  await world.time(world.nowMs + 60_000)
  expect(await ask('h3')).toMatchObject({ kind: 'ok' })
  await world.time(world.nowMs + 60_000)
  await release('h3', true) // and never more than a full minute
  expect(await ask('h4')).toMatchObject({ kind: 'ok' })
  expect(await ask('h5')).toEqual(rate('requests', of, 60_000))
})
