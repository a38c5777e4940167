import { expect, test } from 'vitest'
import { UnknownOutcomeError } from '../../src/kernel/errors.ts'
import { InvariantError } from '../../src/kernel/invariant.ts'
import * as limits from '../../src/kernel/limits/posting.ts'
import { silentLog, type Log, type LogFields } from '../../src/kernel/log.ts'
import { makePoster, type PosterOptions } from '../../src/ledger/group-commit.ts'
import type { PostItem, PostOutcome } from '../../src/ledger/receipt.ts'
import { makeManualClock, settle } from './memory-clock.ts'
import { item, T0 } from './support.ts'

type Answer = (items: readonly PostItem[]) => Error | null

/** A ledger that takes what `answer` does not refuse, exactly once a hold. */
function makeSetup(options: Partial<PosterOptions> = {}) {
  const clock = makeManualClock(T0)
  const batches: string[][] = []
  const posted = new Set<string>()
  const parked: string[] = []
  const control = {
    answer: (() => null) as Answer,
    /** While set, posting waits for it. */
    gate: null as Promise<void> | null,
  }
  const names = (items: readonly PostItem[]) => items.map(({ receipt }) => receipt.holdId)
  const poster = makePoster({
    clock,
    log: silentLog,
    postWaitMs: 2_000,
    ledger: {
      async post(items) {
        batches.push(names(items))
        await control.gate
        const error = control.answer(items)
        if (error !== null) throw error
        return items.map(({ receipt: { holdId } }): PostOutcome => {
          const kind = posted.has(holdId) ? 'noop' : 'new'
          posted.add(holdId)
          return { holdId, kind, version: 7 }
        })
      },
      park({ receipt: { holdId } }) {
        parked.push(holdId)
        return Promise.resolve({ holdId, kind: 'parked', version: 0 })
      },
    },
    ...options,
  })
  return { clock, batches, posted, parked, poster, control }
}

/** A log that keeps what is told of posting that works again. */
function makeNews(): { log: Log; news: (LogFields & { message: string })[] } {
  const news: (LogFields & { message: string })[] = []
  const info: Log['info'] = (fields, message) => news.push({ ...fields, message })
  return { log: { ...silentLog, info }, news }
}

const holds = (count: number) => Array.from({ length: count }, (_, i) => item({ holdId: `h${i}` }))

test('what is submitted in one turn travels together, what comes meanwhile in the next', async () => {
  const { poster, batches, control } = makeSetup()
  let open: () => void = () => undefined
  control.gate = new Promise((resolve) => (open = resolve))
  const [a, b, c, d] = holds(4).map((one) => () => poster.submit(one))
  const first = [a?.(), b?.()]
  await settle()
  const second = [c?.(), d?.()]
  await settle()
  expect(batches).toEqual([['h0', 'h1']])
  open()
  for (const [i, one] of [...first, ...second].entries()) {
    expect(await one?.outcome).toEqual({ holdId: `h${i}`, kind: 'new', version: 7 })
  }
  expect(batches).toEqual([
    ['h0', 'h1'],
    ['h2', 'h3'],
  ])
  expect(poster.backlog).toEqual({ count: 0, bytes: 0, oldestMs: 0 })
})

test('a batch is bounded by count and by the bytes of its answers', async () => {
  const { poster, batches } = makeSetup({ batchMax: 3 })
  for (const one of holds(7)) poster.submit(one)
  await settle()
  expect(batches.map((batch) => batch.length)).toEqual([3, 3, 1])
  const body = new Uint8Array(limits.POST_BATCH_BYTES_MAX / 2)
  const answer = { idempotencyKey: 'k', status: 200, headers: {}, body }
  const bytes = makeSetup()
  for (const one of holds(3)) bytes.poster.submit({ ...one, answer })
  expect(bytes.poster.backlog.bytes).toBeGreaterThan(limits.POST_BATCH_BYTES_MAX)
  await settle()
  expect(bytes.batches.map((batch) => batch.length)).toEqual([1, 1, 1])
})

test('a batch whose outcome is unknown is repeated whole, further and further apart', async () => {
  const { poster, batches, control, clock } = makeSetup()
  const tries: number[] = []
  control.answer = () => {
    tries.push(clock.now() - T0)
    return tries.length <= 10 ? new UnknownOutcomeError('commit') : null
  }
  const both = holds(2).map((one) => poster.submit(one).outcome)
  await clock.pass(60_000)
  expect(await Promise.all(both)).toMatchObject([{ kind: 'new' }, { kind: 'new' }])
  expect(new Set(batches.map((batch) => batch.join()))).toEqual(new Set(['h0,h1']))
  const gaps = tries.slice(1).map((ms, i) => ms - (tries[i] ?? 0))
  expect(gaps).toEqual([50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000])
})

test('when posting works again it is told once, with how long it did not and what waited', async () => {
  const { log, news } = makeNews()
  const { poster, control, clock } = makeSetup({ log, batchMax: 2 })
  control.answer = () => new UnknownOutcomeError('away')
  for (const one of holds(5)) poster.submit(one)
  await clock.pass(1_000)
  expect(news).toEqual([])
  control.answer = () => null
  await clock.pass(60_000)
  const message = 'posting works again'
  expect(news).toEqual([{ receipts: 5, after_ms: 1_550, message }])
  for (const one of holds(9).slice(5)) poster.submit(one)
  await clock.pass(60_000)
  expect(news).toHaveLength(1)
})

test('it is told when all failed strangely, and not of a row that alone is bad', async () => {
  const { log, news } = makeNews()
  const { poster, control, clock } = makeSetup({ log })
  control.answer = () => new Error('strange')
  for (const one of holds(2)) poster.submit(one)
  await clock.pass(30_000)
  expect(news).toEqual([])
  control.answer = () => null
  await clock.pass(10_000)
  expect(news).toMatchObject([{ receipts: 2, message: 'posting works again' }])
  control.answer = () => new InvariantError('bad')
  poster.submit(item({ holdId: 'bad' }))
  await settle()
  control.answer = () => null
  poster.submit(item({ holdId: 'good' }))
  await clock.pass(10_000)
  expect(poster.backlog.count).toBe(0)
  expect(news).toHaveLength(1)
})

test('of what failed first and is parked nothing is told, save where others waited with it', async () => {
  for (const [others, told] of [
    [0, 0],
    [2, 1],
  ] as const) {
    const { log, news } = makeNews()
    const { poster, parked, control, clock } = makeSetup({ log })
    control.answer = () => new UnknownOutcomeError('away')
    for (const one of holds(1 + others)) poster.submit(one)
    await clock.pass(1_000)
    control.answer = (items) =>
      items.some(({ receipt }) => receipt.holdId === 'h0') ? new InvariantError('bad') : null
    await clock.pass(60_000)
    expect(parked).toEqual(['h0'])
    poster.submit(item({ holdId: 'later' }))
    await clock.pass(60_000)
    expect(poster.backlog.count).toBe(0)
    expect(news).toHaveLength(told)
  }
})

test('one bad row is parked and every other one is posted', async () => {
  const { poster, posted, parked, control } = makeSetup()
  control.answer = (items) =>
    items.some(({ receipt }) => ['h5', 'h11'].includes(receipt.holdId))
      ? new InvariantError('bad')
      : null
  const outcomes = holds(16).map((one) => poster.submit(one).outcome)
  const kinds = (await Promise.all(outcomes)).map(({ kind }) => kind)
  expect(kinds.flatMap((kind, i) => (kind === 'parked' ? [i] : []))).toEqual([5, 11])
  expect(parked).toEqual(['h5', 'h11'])
  expect(posted.size).toBe(14)
})

test('a row that fails strangely does not stop the others and is never dropped', async () => {
  const { poster, posted, parked, control, clock } = makeSetup()
  let broken = true
  control.answer = (items) =>
    broken && items.some(({ receipt }) => receipt.holdId === 'h1') ? new Error('strange') : null
  const outcomes = holds(3).map((one) => poster.submit(one).outcome)
  await clock.pass(60_000)
  expect([...posted].sort()).toEqual(['h0', 'h2'])
  expect(poster.backlog.count).toBe(1)
  broken = false
  await clock.pass(60_000)
  expect((await Promise.all(outcomes)).map(({ kind }) => kind)).toEqual(['new', 'new', 'new'])
  expect(parked).toEqual([])
})

test('an answer waits so long, then a breaker lets later ones go until a batch is posted', async () => {
  let deferred = 0
  const { poster, control, clock } = makeSetup({ on: { deferred: () => (deferred += 1) } })
  control.answer = () => new UnknownOutcomeError('away')
  const [one, two, three, four] = holds(4)
  if (!one || !two || !three || !four) throw new Error('holds')
  const first = poster.submit(one).wait()
  await clock.pass(1_999)
  expect(poster.breakerOpen).toBe(false)
  await clock.pass(1)
  expect(await first).toBe('deferred')
  expect(poster.breakerOpen).toBe(true)
  expect(await poster.submit(two).wait()).toBe('deferred')
  expect(deferred).toBe(2)
  control.answer = () => null
  await clock.pass(10_000)
  expect(poster.breakerOpen).toBe(false)
  expect(await poster.submit(three).wait()).toBe('posted')
  expect(poster.backlog.count).toBe(0)
})

test('the backlog is full by count, by bytes or by age, and submit still accepts', async () => {
  const { poster, control, clock } = makeSetup()
  control.answer = () => new UnknownOutcomeError('away')
  const outcome = poster.submit(item({ holdId: 'old' })).outcome
  expect(poster.full).toBe(false)
  await clock.pass(limits.POST_BACKLOG_AGE_MS_MAX)
  expect(poster.backlog).toMatchObject({ count: 1, oldestMs: limits.POST_BACKLOG_AGE_MS_MAX })
  expect(poster.full).toBe(true)
  control.answer = () => null
  await clock.pass(limits.POST_RETRY_MS_MAX)
  await outcome
  expect(poster.full).toBe(false)
  control.answer = () => new UnknownOutcomeError('away')
  const body = new Uint8Array(limits.POST_BACKLOG_BYTES_MAX)
  const answer = { idempotencyKey: 'k', status: 200, headers: {}, body }
  poster.submit(item({ holdId: 'large' }, { answer }))
  expect(poster.full).toBe(true)
  control.answer = () => null
  await clock.pass(limits.POST_RETRY_MS_MAX)
  expect(poster.full).toBe(false)
})

test('draining ends when all is posted, or at its deadline with what is left', async () => {
  const { poster, control, clock } = makeSetup()
  control.answer = () => new UnknownOutcomeError('away')
  for (const one of holds(3)) poster.submit(one)
  const late = poster.drain(1_000)
  await clock.pass(1_000)
  expect(await late).toBe(3)
  control.answer = () => null
  const inTime = poster.drain(60_000)
  await clock.pass(10_000)
  expect(await inTime).toBe(0)
  expect(await poster.drain(0)).toBe(0)
})
