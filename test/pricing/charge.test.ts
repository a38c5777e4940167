import { describe, expect, it } from 'vitest'
import { ask, bookOf, priceOf } from './support.ts'
import type { Buckets, Usage } from '../../src/kernel/usage.ts'
import type { ManagedPriceBook } from '../../src/pricing/book.ts'
import type { PriceQuery } from '../../src/pricing/pricing.ts'

function charged(
  book: ManagedPriceBook,
  query: PriceQuery,
  usage: Usage,
  serviceTier: string | null = null,
): { cost: bigint; micros: number } {
  const { costPicoUsd, micros } = book.charge(priceOf(book, query), query, usage, serviceTier)
  return { cost: costPicoUsd, micros }
}

/** 1 credit = 1 USD at cost: a micro is 10⁶ pico-dollars. */
const AT_COST = { credits: { per_usd: '1', markup: '1' } }

describe('a charge', () => {
  it('is cost × markup × credits per USD', () => {
    // 1 000 × $0.15/M + 500 × $0.60/M = $0.00045; × 1.2 × 100 = 0.054 credits.
    const usage = { input_tokens: 1_000, output_tokens: 500 }
    expect(charged(bookOf(), ask('openai', 'gpt-4o-mini'), usage)).toEqual({
      cost: 450_000_000n,
      micros: 54_000,
    })
  })

  it('is rounded up once, over the sum', () => {
    const prices = [
      { model: 'm', input_usd_per_mtok: '0.3', output_usd_per_mtok: '0.3' },
      { model: 'tiny', input_usd_per_mtok: '0.000001', output_usd_per_mtok: '0' },
    ]
    const book = bookOf({ prices, ...AT_COST })
    // 0.3 micros a token: 1 + 1 + 1 tokens are 0.9 micros, not 1 + 1 + 1.
    const usage = { input_tokens: 1, cache_read_tokens: 1, output_tokens: 1 }
    expect(charged(book, ask('local', 'm'), usage)).toEqual({ cost: 900_000n, micros: 1 })
    expect(charged(book, ask('local', 'm'), { input_tokens: 10 }).micros).toBe(3)
    expect(charged(book, ask('local', 'm'), { input_tokens: 11 }).micros).toBe(4)
    expect(charged(book, ask('local', 'tiny'), { input_tokens: 1 })).toEqual({
      cost: 1n,
      micros: 1,
    })
    expect(charged(book, ask('local', 'm'), {})).toEqual({ cost: 0n, micros: 0 })
  })

  it('is exact where products pass 2^53', () => {
    const prices = [{ model: 'm', input_usd_per_mtok: '1.000001', output_usd_per_mtok: '3.000003' }]
    const book = bookOf({ prices, credits: { per_usd: '0.000001', markup: '1.000000001' } })
    const [input, output] = [9_007_199_254_740_991n, 4_503_599_627_370_497n]
    const cost = input * 1_000_001n + output * 3_000_003n
    const scaled = cost * 1_000_000_001n
    const micros = (scaled + 10n ** 21n - 1n) / 10n ** 21n
    const usage = { input_tokens: Number(input), output_tokens: Number(output) }
    expect(charged(book, ask('local', 'm'), usage)).toEqual({ cost, micros: Number(micros) })
  })

  it('never becomes an inexact number: past 2^53 micros it is a fault', () => {
    const prices = [{ model: 'm', input_usd_per_mtok: '1000000' }]
    const book = bookOf({ prices, ...AT_COST })
    const query = ask('local', 'm')
    expect(charged(book, query, { input_tokens: 9_007_199_254 }).micros).toBe(9_007_199_254_000_000)
    expect(() => charged(book, query, { input_tokens: 9_007_199_255 })).toThrow('safe integer')
    expect(() => charged(book, query, { input_tokens: -1 })).toThrow('countable')
    expect(() => charged(book, query, { input_tokens: Number.NaN })).toThrow('countable')
  })

  it('counts seconds as fractions', () => {
    const book = bookOf(AT_COST)
    // $0.0001 a second.
    expect(charged(book, ask('openai', 'whisper-1'), { seconds: 2.5 })).toEqual({
      cost: 250_000_000n,
      micros: 250,
    })
    expect(charged(book, ask('openai', 'whisper-1'), { seconds: 0.1 }).cost).toBe(10_000_000n)
  })
})

describe('buckets', () => {
  const price = {
    model: 'm',
    input_usd_per_mtok: '1',
    cache_read_usd_per_mtok: '0.1',
    cache_write_usd_per_mtok: '1.25',
    cache_write_1h_usd_per_mtok: '2',
    input_audio_usd_per_mtok: '40',
    input_image_usd_per_mtok: '3',
    output_usd_per_mtok: '5',
    output_audio_usd_per_mtok: '80',
    per_web_search_usd: '0.01',
    per_request_usd: '0.5',
    per_image_usd: '0.25',
    per_second_usd: '0.125',
    per_character_usd: '0.000015',
    per_unit_usd: '7',
  }
  const one = 1_000_000n
  it.each<[Usage, bigint]>([
    [{ input_tokens: 1 }, one],
    [{ cache_read_tokens: 1 }, 100_000n],
    [{ cache_write_5m_tokens: 1 }, 1_250_000n],
    [{ cache_write_tokens: 1 }, 1_250_000n],
    [{ cache_write_1h_tokens: 1 }, 2n * one],
    [{ input_audio_tokens: 1 }, 40n * one],
    [{ input_image_tokens: 1 }, 3n * one],
    [{ output_tokens: 1 }, 5n * one],
    [{ output_tokens: 1, output_reasoning_tokens: 1 }, 5n * one],
    [{ output_tokens: 3, output_audio_tokens: 2 }, 165n * one],
    [{ output_audio_tokens: 2 }, 160n * one],
    [{ web_search_requests: 1 }, 10_000_000_000n],
    [{ images: 2 }, 500_000_000_000n],
    [{ seconds: 1 }, 125_000_000_000n],
    [{ characters: 1 }, 15_000_000n],
    [{ units: 1 }, 7_000_000_000_000n],
    [{ requests: 3 }, 1_000_000_000_000n],
  ])('%j costs its own price beside the request', (usage, pico) => {
    const book = bookOf({ prices: [price], ...AT_COST })
    expect(charged(book, ask('local', 'm'), usage).cost).toBe(pico + 500_000_000_000n)
  })

  it('without a price of their own cost as the dearer of their kin, never nothing', () => {
    const prices = [
      { model: 'm', input_usd_per_mtok: '1', output_usd_per_mtok: '5' },
      { model: 'in', input_usd_per_mtok: '1' },
      { model: 'out', output_usd_per_mtok: '5' },
    ]
    const book = bookOf({ prices, ...AT_COST })
    const cost = (upstream: string, model: string, usage: Usage) =>
      charged(book, ask(upstream, model), usage).cost
    expect(cost('local', 'm', { cache_read_tokens: 1 })).toBe(one)
    expect(cost('local', 'm', { cache_write_1h_tokens: 1 })).toBe(one)
    expect(cost('local', 'm', { input_audio_tokens: 1 })).toBe(one)
    expect(cost('local', 'm', { input_image_tokens: 1 })).toBe(one)
    expect(cost('local', 'm', { output_audio_tokens: 1 })).toBe(5n * one)
    expect(cost('local', 'm', { web_search_requests: 1 })).toBe(35_000_000_000n)
    expect(cost('local', 'in', { output_tokens: 1 })).toBe(one)
    expect(cost('local', 'out', { input_tokens: 1 })).toBe(5n * one)
    // Anthropic's protocol writes caches at 1.25 and 2 times the input.
    expect(cost('claude-proxy', 'm', { cache_write_5m_tokens: 1 })).toBe(1_250_000n)
    expect(cost('claude-proxy', 'm', { cache_write_1h_tokens: 1 })).toBe(2n * one)
  })

  it('reported without any tokens are told in tokens', () => {
    const book = bookOf({ prices: [{ model: 'm', input_usd_per_mtok: '1' }], ...AT_COST })
    const cost = (usage: Usage) => charged(book, ask('local', 'm'), usage).cost
    expect(cost({ images: 1 })).toBe(10_000n * one)
    expect(cost({ seconds: 1 })).toBe(40n * one)
    expect(cost({ characters: 1 })).toBe(3n * one)
    expect(cost({ images: 1, input_tokens: 7 })).toBe(7n * one)
  })
})

describe('context tiers', () => {
  it('rule for all of a request, by all its input tokens', () => {
    const book = bookOf(AT_COST)
    const cost = (usage: Usage) => charged(book, ask('openai', 'gpt-5.5'), usage).cost
    expect(cost({ input_tokens: 271_999, output_tokens: 1 })).toBe(
      271_999n * 5_000_000n + 30_000_000n,
    )
    expect(cost({ input_tokens: 272_000, output_tokens: 1 })).toBe(
      272_000n * 10_000_000n + 45_000_000n,
    )
    expect(cost({ input_tokens: 1, cache_read_tokens: 271_999 })).toBe(
      10_000_000n + 271_999n * 1_000_000n,
    )
  })

  it('take what they leave out from the tier below', () => {
    const book = bookOf({
      ...AT_COST,
      prices: [
        {
          model: 'm',
          input_usd_per_mtok: '1',
          output_usd_per_mtok: '2',
          tiers: [
            { above_input_tokens: 10, input_usd_per_mtok: '3' },
            { above_input_tokens: 20, output_usd_per_mtok: '4' },
          ],
        },
      ],
    })
    const cost = (input: number) =>
      charged(book, ask('local', 'm'), { input_tokens: input, output_tokens: 1 }).cost
    expect([cost(10), cost(11), cost(21)]).toEqual([12_000_000n, 35_000_000n, 67_000_000n])
  })
})

describe('service tiers', () => {
  const usage = { input_tokens: 100, output_tokens: 10, web_search_requests: 1 }
  const search = 10_000_000_000n
  const tokens = (
    book: ManagedPriceBook,
    model: string,
    tier: string | null,
    upstream = 'openai',
  ) => charged(book, ask(upstream, model), usage, tier).cost - search

  it('that mean the ordinary service cost the ordinary price', () => {
    const book = bookOf(AT_COST)
    const standard = tokens(book, 'gpt-5', null)
    for (const tier of ['default', 'auto', 'standard', 'Default', 'standard+default']) {
      expect(tokens(book, 'gpt-5', tier)).toBe(standard)
    }
  })

  it('have known multiples, of tokens and not of search fees', () => {
    const book = bookOf(AT_COST)
    const standard = tokens(book, 'gpt-5', null)
    expect(tokens(book, 'gpt-5', 'flex') * 2n).toBe(standard)
    expect(tokens(book, 'gpt-5', 'priority') * 2n).toBe(standard * 5n)
    const claude = tokens(book, 'claude-opus-5', null, 'anthropic')
    expect(tokens(book, 'claude-opus-5', 'batch', 'anthropic') * 2n).toBe(claude)
    expect(tokens(book, 'claude-opus-5', 'standard+fast', 'anthropic')).toBe(claude * 6n)
  })

  it('that nobody knows cost as much as the dearest, and no one grants unknown discounts', () => {
    const prices = [
      { upstream: 'local', model: 'm', input_usd_per_mtok: '1', per_web_search_usd: '0.01' },
    ]
    const book = bookOf({ ...AT_COST, prices })
    const standard = tokens(book, 'm', null, 'local')
    for (const tier of ['turbo', 'priority', 'a+b+c+d', 'x'.repeat(1_000)]) {
      expect(tokens(book, 'm', tier, 'local')).toBe(standard * 6n)
    }
    expect(tokens(book, 'm', 'flex', 'local')).toBe(standard)
  })

  it('of a document go before what is known elsewhere', () => {
    const entry = {
      model: 'm',
      input_usd_per_mtok: '1',
      output_usd_per_mtok: '2',
      per_web_search_usd: '0.01',
      tiers: [{ above_input_tokens: 1_000, input_usd_per_mtok: '2', output_usd_per_mtok: '3' }],
      service_tiers: {
        priority: { multiplier: '1.7' },
        flex: { input_usd_per_mtok: '0.6', output_usd_per_mtok: '1' },
      },
    }
    const book = bookOf({ ...AT_COST, prices: [entry] })
    expect(tokens(book, 'm', 'priority')).toBe(204_000_000n)
    expect(tokens(book, 'm', 'flex')).toBe(70_000_000n)
    // A tier without context bands of its own rises with the standard ones: × 2 and × 1.5.
    const long = charged(
      book,
      ask('openai', 'm'),
      { input_tokens: 1_001, output_tokens: 2 },
      'flex',
    )
    expect(long.cost).toBe(1_001n * 1_200_000n + 2n * 1_500_000n)
  })
})

describe('the sell book', () => {
  const gptImage = { input_tokens: 50, output_tokens: 6_000, images: 2 }

  it('sells images at credits each, whatever their tokens cost', () => {
    const book = bookOf({ sell: [{ model: 'gpt-image-*', credits_per_image: '5' }] })
    const { cost, micros } = charged(book, ask('openai', 'gpt-image-1'), gptImage)
    expect(cost).toBe(50n * 5_000_000n + 6_000n * 40_000_000n)
    expect(micros).toBe(10_000_000)
  })

  it('falls back to cost × markup where none of the units sold is reported', () => {
    const book = bookOf({ sell: [{ model: 'gpt-image-*', credits_per_image: '5' }] })
    const { micros } = charged(book, ask('openai', 'gpt-image-1'), { output_tokens: 6_000 })
    expect(micros).toBe(6_000 * 40 * 120)
  })

  it('sells requests at a flat price, also without usage', () => {
    const book = bookOf({
      prices: [{ upstream: 'weather', per_request_usd: '0.002' }],
      sell: [{ upstream: 'weather', credits_per_request: '0.3' }],
    })
    expect(charged(book, ask('weather', ''), {})).toEqual({ cost: 2_000_000_000n, micros: 300_000 })
    const free = bookOf({
      prices: [{ upstream: 'weather', per_request_usd: '0.002' }],
      sell: [{ upstream: 'weather', credits_per_request: '0' }],
    })
    expect(charged(free, ask('weather', ''), {}).micros).toBe(0)
  })

  it('sells token buckets at credits per Mtok, the rest at cost × markup', () => {
    const sell = [{ model: 'gpt-4o-mini', output_credits_per_mtok: '300' }]
    const book = bookOf({ sell })
    const { micros } = charged(book, ask('openai', 'gpt-4o-mini'), {
      input_tokens: 1_000,
      output_tokens: 1_000,
    })
    expect(micros).toBe(1_000 * 18 + 1_000 * 300)
    const both = bookOf({ sell: [{ model: 'gpt-4o-mini', input_credits_per_mtok: '7' }] })
    expect(charged(both, ask('openai', 'gpt-4o-mini'), { cache_read_tokens: 10 }).micros).toBe(70)
  })

  it('raises prices in credits with a service tier that costs more', () => {
    const sell = [
      { model: 'gpt-5', input_credits_per_mtok: '100', output_credits_per_mtok: '1000' },
    ]
    const book = bookOf({ sell })
    const at = (tier: string) =>
      charged(book, ask('openai', 'gpt-5'), { input_tokens: 10, output_tokens: 10 }, tier).micros
    expect([at('default'), at('priority'), at('flex')]).toEqual([11_000, 27_500, 11_000])
  })

  it('takes the markup of the account before the entry before the book', () => {
    const usage = { input_tokens: 1_000_000 }
    const book = bookOf({ sell: [{ upstream: 'anthropic', markup: '1.35' }] })
    const at = (upstream: string, model: string, accountMarkup: string | null) =>
      charged(book, ask(upstream, model, { accountMarkup }), usage).micros
    expect(at('anthropic', 'claude-opus-5', null)).toBe(675_000_000)
    expect(at('anthropic', 'claude-opus-5', '1')).toBe(500_000_000)
    expect(at('openai', 'gpt-4o', null)).toBe(300_000_000)
    expect(at('openai', 'gpt-4o', '2.0')).toBe(500_000_000)
    expect(at('openai', 'gpt-4o', '0')).toBe(0)
  })
})

describe('iterations', () => {
  const query = ask('anthropic', 'claude-sonnet-5')
  const haiku = { type: 'advisor', model: 'claude-haiku-4-5', usage: { input_tokens: 100 } }

  it('are priced at their own model, added before the one rounding', () => {
    const book = bookOf(AT_COST)
    const usage = { input_tokens: 10, iterations: [haiku, { ...haiku, model: null }] }
    expect(charged(book, query, usage)).toEqual({
      cost: 10n * 2_000_000n + 100n * 1_000_000n + 100n * 2_000_000n,
      micros: 320,
    })
  })

  it('of a model without a price cost as the request’s own', () => {
    const book = bookOf(AT_COST)
    const usage = { iterations: [{ ...haiku, model: 'unheard-of' }] }
    expect(charged(book, query, usage).cost).toBe(200_000_000n)
  })

  it('are inside a flat price', () => {
    const sell = [{ upstream: 'anthropic', credits_per_request: '2' }]
    const { micros, cost } = charged(bookOf({ sell, ...AT_COST }), query, { iterations: [haiku] })
    expect([micros, cost]).toEqual([2_000_000, 100_000_000n])
  })
})

describe('the model that a response states', () => {
  it('is charged at its own price, or at the requested one’s where it has none', () => {
    const book = bookOf()
    const query = ask('openai', 'gpt-4o')
    const requested = priceOf(book, query)
    expect(book.findAnswered(query, 'gpt-4o-2024-05-13', requested).modelPattern).toBe(
      'gpt-4o-2024-05-13',
    )
    expect(book.findAnswered(query, '/models/weights.gguf', requested)).toBe(requested)
    expect(book.findAnswered(query, null, requested)).toBe(requested)
  })
})

describe('a price covers', () => {
  const covers = (prices: object, usage: Buckets, sell: object[] = []): boolean => {
    const book = bookOf({ prices: [{ model: 'm', ...prices }], sell })
    return book.covers(priceOf(book, ask('local', 'm')), usage)
  }

  it('what it names, be it for nothing, and tokens by any kin of theirs', () => {
    expect(covers({ per_second_usd: '0' }, { seconds: 1 })).toBe(true)
    expect(covers({ per_second_usd: '1' }, { seconds: 1, characters: 5 })).toBe(true)
    expect(covers({ input_usd_per_mtok: '1' }, { output_tokens: 5 })).toBe(true)
    expect(covers({ input_usd_per_mtok: '1' }, { images: 5 })).toBe(true)
    expect(covers({ per_request_usd: '1' }, { seconds: 5 })).toBe(true)
    expect(
      covers({ per_second_usd: '1' }, { units: 1 }, [{ model: 'm', credits_per_unit: '1' }]),
    ).toBe(true)
  })

  it('nothing that it is silent about', () => {
    expect(covers({ per_second_usd: '1' }, { characters: 5 })).toBe(false)
    expect(covers({ per_second_usd: '1' }, { input_tokens: 5, images: 1 })).toBe(false)
    expect(covers({ per_image_usd: '1' }, { response_bytes: 5 })).toBe(false)
    expect(covers({ input_usd_per_mtok: '1' }, { units: 5 })).toBe(false)
    expect(covers({ per_second_usd: '1' }, { characters: 0 })).toBe(true)
  })
})
