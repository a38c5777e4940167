import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { micros } from '../../src/kernel/money.ts'
import type { Usage } from '../../src/kernel/usage.ts'
import type { ManagedPriceBook } from '../../src/pricing/book.ts'
import { keptPriceSchema } from '../../src/pricing/kept.ts'
import type { Bound, Price, PriceQuery } from '../../src/pricing/pricing.ts'
import { ask, bookOf, priceOf } from './support.ts'

const MAX = Number.MAX_SAFE_INTEGER
const TIERS = [null, 'default', 'flex', 'priority', 'own', 'never-heard-of', 'standard+fast']

const decimal = (places: number, whole: number) =>
  fc
    .tuple(fc.nat(whole), fc.nat(10 ** places - 1))
    .map(([a, b]) => `${a}.${String(b).padStart(places, '0')}`)

const mtok = decimal(6, 100)
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })

const tokenFields = {
  input_usd_per_mtok: mtok,
  cache_read_usd_per_mtok: maybe(mtok),
  cache_write_usd_per_mtok: maybe(mtok),
  cache_write_1h_usd_per_mtok: maybe(mtok),
  input_audio_usd_per_mtok: maybe(mtok),
  input_image_usd_per_mtok: maybe(mtok),
  output_usd_per_mtok: maybe(mtok),
  output_audio_usd_per_mtok: maybe(mtok),
}

const withoutUndefined = <T extends object>(value: T): T => {
  const copy = { ...value }
  for (const key in copy) if (copy[key] === undefined) Reflect.deleteProperty(copy, key)
  return copy
}

const entry = fc
  .record({
    model: fc.constant('m'),
    ...tokenFields,
    per_web_search_usd: maybe(decimal(3, 1)),
    per_request_usd: maybe(decimal(3, 1)),
    per_image_usd: maybe(decimal(3, 1)),
    tiers: maybe(
      fc.tuple(fc.record(tokenFields), fc.record(tokenFields)).map(([a, b]) => [
        { above_input_tokens: 1_000, ...withoutUndefined(a) },
        { above_input_tokens: 5_000, ...withoutUndefined(b) },
      ]),
    ),
    service_tiers: maybe(
      fc.record({
        own: fc.oneof(
          fc.record({ multiplier: decimal(2, 3) }),
          fc.record({ input_usd_per_mtok: mtok, output_usd_per_mtok: mtok }),
        ),
      }),
    ),
  })
  .map(withoutUndefined)

const sell = fc
  .record({
    model: fc.constant('m'),
    markup: decimal(2, 3),
    input_credits_per_mtok: maybe(decimal(3, 500)),
    output_credits_per_mtok: maybe(decimal(3, 500)),
    credits_per_web_search: maybe(decimal(2, 3)),
    credits_per_image: maybe(decimal(2, 10)),
    credits_per_request: fc.option(decimal(2, 3), { nil: undefined, freq: 8 }),
  })
  .map(withoutUndefined)

interface Case {
  book: ManagedPriceBook
  query: PriceQuery
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    prices: entry.map((one) => [one]),
    sell: fc.array(sell, { maxLength: 1 }),
    credits: fc.record({
      per_usd: fc.constantFrom('100', '1', '0.000001', '7.5'),
      markup: fc.constantFrom('1', '1.20', '0.333333333'),
    }),
    upstream: fc.constantFrom('openai', 'local', 'claude-proxy', 'anthropic'),
  })
  .map(({ upstream, ...input }) => ({ book: bookOf(input), query: ask(upstream, 'm') }))

const bounds: fc.Arbitrary<Bound> = fc.record({
  inputTokensMax: fc.oneof(fc.nat(10), fc.nat(10_000), fc.nat(10_000_000)),
  outputTokensMax: fc.oneof(fc.nat(10), fc.nat(1_000_000)),
  webSearchesMax: fc.nat(3),
  serviceTier: fc.constantFrom(...TIERS),
  unitsMax: fc.record({ images: fc.nat(4) }),
})

/** Splits a number over buckets by shares. */
function split(total: number, shares: readonly number[]): number[] {
  const sum = shares.reduce((a, b) => a + b, 0)
  return shares.map((share) => (sum === 0 ? 0 : Math.floor((total * share) / sum)))
}

const shares = (count: number) => fc.array(fc.nat(100), { minLength: count, maxLength: count })

const usages = (bound: Bound): fc.Arbitrary<Usage> =>
  fc
    .record({
      input: fc.oneof(fc.constant(bound.inputTokensMax), fc.nat(bound.inputTokensMax)),
      output: fc.oneof(fc.constant(bound.outputTokensMax), fc.nat(bound.outputTokensMax)),
      searches: fc.nat(bound.webSearchesMax),
      images: fc.nat(bound.unitsMax?.images ?? 0),
      inputShares: shares(7),
      audioShare: fc.nat(100),
    })
    .map(({ input, output, searches, images, inputShares, audioShare }) => {
      const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0] = split(input, inputShares)
      return {
        input_tokens: a,
        cache_read_tokens: b,
        cache_write_5m_tokens: c,
        cache_write_tokens: d,
        cache_write_1h_tokens: e,
        input_audio_tokens: f,
        input_image_tokens: g,
        output_tokens: output,
        output_audio_tokens: Math.floor((output * audioShare) / 100),
        web_search_requests: searches,
        images,
      }
    })

describe('a bound', () => {
  it('is at least the charge of any usage within it, in the tier asked for and in standard', () => {
    const scenario = fc
      .tuple(cases, bounds)
      .chain(([made, bound]) => usages(bound).map((usage) => ({ ...made, bound, usage })))
    fc.assert(
      fc.property(scenario, ({ book, query, bound, usage }) => {
        const price = priceOf(book, query)
        const most = book.boundMicros(price, query, bound)
        for (const tier of [bound.serviceTier, null]) {
          const { micros: charged } = book.charge(price, query, usage, tier)
          expect(charged).toBeLessThanOrEqual(most)
        }
      }),
      { numRuns: 1_500 },
    )
  })

  it('is reached: the dearest usage within it costs all of it', () => {
    const prices = [
      {
        model: 'm',
        input_usd_per_mtok: '1',
        cache_write_1h_usd_per_mtok: '2',
        output_usd_per_mtok: '5',
        output_audio_usd_per_mtok: '9',
        tiers: [{ above_input_tokens: 1_000, cache_write_1h_usd_per_mtok: '4' }],
      },
    ]
    const book = bookOf({ prices })
    const query = ask('local', 'm')
    const price = priceOf(book, query)
    const bound = {
      inputTokensMax: 2_000,
      outputTokensMax: 100,
      webSearchesMax: 0,
      serviceTier: null,
    }
    const usage = {
      cache_write_1h_tokens: 2_000,
      output_tokens: 100,
      output_audio_tokens: 100,
    }
    const { micros: charged } = book.charge(price, query, usage, null)
    expect(book.boundMicros(price, query, bound)).toBe(charged)
    const absent = ['cache_write_1h_tokens', 'output_audio_tokens'] as const
    expect(book.boundMicros(price, query, { ...bound, absent })).toBe((2_000 + 500) * 120)
  })

  it('saturates instead of failing, however much a client asks for', () => {
    const book = bookOf()
    const query = ask('openai', 'o1-pro')
    const price = priceOf(book, query)
    const huge = { inputTokensMax: MAX, webSearchesMax: 0, serviceTier: null }
    for (const outputTokensMax of [MAX, 1e300, Number.MAX_VALUE]) {
      expect(book.boundMicros(price, query, { ...huge, outputTokensMax })).toBe(MAX)
    }
    const cheap = bookOf({ prices: [{ model: 'm', input_usd_per_mtok: '0' }] })
    const free = priceOf(cheap, ask('local', 'm'))
    const all = { ...huge, outputTokensMax: MAX }
    expect(cheap.boundMicros(free, ask('local', 'm'), all)).toBe(0)
  })
})

describe('a price that was kept', () => {
  it('charges what it did, though another book prices nothing', () => {
    const scenario = fc
      .tuple(cases, bounds)
      .chain(([made, bound]) => usages(bound).map((usage) => ({ ...made, bound, usage })))
    fc.assert(
      fc.property(scenario, ({ book, query, bound, usage }) => {
        const price = priceOf(book, query)
        const written = JSON.stringify(book.keep(price))
        const later = bookOf()
        expect(later.find(query)).toBeNull()
        const kept = keptPriceSchema.parse(JSON.parse(written))
        const revived = later.revive(kept)
        for (const tier of [bound.serviceTier, null]) {
          const charge = book.charge(price, query, usage, tier)
          expect(later.charge(revived, query, usage, tier)).toEqual(charge)
        }
        expect(JSON.stringify(later.keep(revived))).toBe(written)
        expect(later.unrecorded()).toEqual([
          book.unrecorded().find(({ version }) => version === price.version),
        ])
      }),
      { numRuns: 500 },
    )
  })

  it('is the seed’s as well, and rules what the same price ruled in an answer', () => {
    const book = bookOf()
    const query = ask('openai', 'gpt-4o')
    const kept = book.keep(priceOf(book, query))
    const dearer = { upstream: 'openai', model: 'gpt-4o*', input_usd_per_mtok: '99' }
    const later = bookOf({ prices: [dearer] })
    const revived = later.revive(kept)
    const usage = { input_tokens: 1_000 }
    const charge = (price: Price) => later.charge(price, query, usage, null)
    expect(charge(revived)).toEqual(book.charge(priceOf(book, query), query, usage, null))
    expect(charge(revived).micros).toBeLessThan(charge(priceOf(later, query)).micros)
    const answered = (model: string | null) => later.findAnswered(query, model, revived)
    expect(answered(null)).toBe(revived)
    expect(answered('gpt-4o-2024-08-06')).toBe(revived)
    expect(answered('nobody-knows-it')).toBe(revived)
    expect(answered('gpt-4.1')).toBe(later.find(ask('openai', 'gpt-4.1')))
  })

  it('is not made of what says something else', () => {
    const book = bookOf()
    const kept = book.keep(priceOf(book, ask('openai', 'gpt-4o')))
    const cost = kept.terms.cost_pico_usd
    const wrong = [
      { ...kept, version: 'gpt-4o' },
      { ...kept, terms: { ...kept.terms, markup: '-1' } },
      { ...kept, terms: { ...kept.terms, kind: 'cost' } },
      { ...kept, terms: { ...kept.terms, cost_pico_usd: { ...cost, prices: { input: '1.5' } } } },
      { ...kept, terms: { ...kept.terms, cost_pico_usd: { ...cost, prices: { apple: '1' } } } },
    ]
    for (const each of wrong) expect(keptPriceSchema.safeParse(each).success).toBe(false)
  })
})

describe('the output a budget pays for', () => {
  /** The greatest n in [0, MAX] whose bound fits, by bisection over boundMicros alone. */
  function bisect(fits: (n: number) => boolean): number {
    if (!fits(0)) return 0
    if (fits(MAX)) return MAX
    let [low, high] = [0, MAX]
    while (high - low > 1) {
      const middle = low + Math.floor((high - low) / 2)
      if (fits(middle)) low = middle
      else high = middle
    }
    return low
  }

  it('is the exact inverse of the bound', () => {
    const budgets = fc.oneof(
      fc.nat(10 ** 12).map((amount) => ({ amount })),
      // The bound of some output to the micro, and one micro beside it.
      fc.record({ of: fc.nat(100_000), beside: fc.integer({ min: -1, max: 1 }) }),
    )
    fc.assert(
      fc.property(cases, bounds, budgets, ({ book, query }, bound, wanted) => {
        const price = priceOf(book, query)
        const boundAt = (n: number) =>
          book.boundMicros(price, query, { ...bound, outputTokensMax: n })
        const least = 'amount' in wanted ? wanted.amount : boundAt(wanted.of)
        fc.pre(least + 1 < MAX) // which stands for all that is beyond it: no budget is as large
        const budget = micros(least + ('beside' in wanted ? wanted.beside : 0))
        const within = book.outputTokensWithin(price, query, bound, budget)
        expect(within).toBe(bisect((n) => boundAt(n) <= budget))
      }),
      { numRuns: 1_000 },
    )
  })

  it('is none where the budget is used up already', () => {
    const book = bookOf()
    const query = ask('openai', 'gpt-4o')
    const bound = { inputTokensMax: 0, outputTokensMax: 0, webSearchesMax: 0, serviceTier: null }
    const price = priceOf(book, query)
    expect(book.outputTokensWithin(price, query, bound, micros(-1))).toBe(0)
    expect(book.outputTokensWithin(price, query, bound, micros(1_199))).toBe(0)
    expect(book.outputTokensWithin(price, query, bound, micros(1_200))).toBe(1)
  })
})

describe('exactness', () => {
  it('holds between numbers and big integers: the fast path equals the plain sum', () => {
    const counts = fc.oneof(fc.nat(100), fc.nat(10 ** 9), fc.maxSafeNat())
    fc.assert(
      fc.property(counts, counts, counts, (input, output, read) => {
        const prices = [
          {
            model: 'm',
            input_usd_per_mtok: '2.500001',
            cache_read_usd_per_mtok: '0.25',
            output_usd_per_mtok: '10.000007',
          },
        ]
        const book = bookOf({ prices, credits: { per_usd: '0.0001', markup: '1.20' } })
        const query = ask('local', 'm')
        const usage = { input_tokens: input, output_tokens: output, cache_read_tokens: read }
        const charge = book.charge(priceOf(book, query), query, usage, null)
        const cost =
          BigInt(input) * 2_500_001n + BigInt(read) * 250_000n + BigInt(output) * 10_000_007n
        const den = 10n ** 12n
        expect(charge.costPicoUsd).toBe(cost)
        expect(BigInt(charge.micros)).toBe((cost * 120n + den - 1n) / den)
      }),
    )
  })
})
