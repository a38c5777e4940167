import { describe, expect, it } from 'vitest'
import { makeGenerationCache } from '../../src/pricing/cache.ts'
import { priceConfigSchema } from '../../src/pricing/config.ts'
import { NO_OVERRIDES } from '../../src/pricing/entries.ts'
import { ask, bookOf, priceOf, TODAY } from './support.ts'

describe('which price rules', () => {
  it('is admin over config over seed', () => {
    const mine = (usd: string) => [{ upstream: 'openai', model: 'gpt-4o', input_usd_per_mtok: usd }]
    const source = (book: ReturnType<typeof bookOf>) =>
      book.explain({ upstream: 'openai', model: 'gpt-4o' }, TODAY)?.source
    expect(source(bookOf())).toBe('seed')
    expect(source(bookOf({ prices: mine('1') }))).toBe('config')
    const both = bookOf({
      prices: mine('1'),
      adminPrices: [{ model: '*', input_usd_per_mtok: '9' }],
    })
    expect(source(both)).toBe('admin')
    expect(priceOf(both, ask('openai', 'gpt-4o')).version).toMatch(/^admin:[0-9a-f]{16}$/)
  })

  it('is within a source the upstream’s own, then the closest model, then the later entry', () => {
    const prices = [
      { model: 'llama-*', input_usd_per_mtok: '1' },
      { model: 'llama-3-*', input_usd_per_mtok: '2' },
      { model: 'llama-3-8b', input_usd_per_mtok: '3' },
      { upstream: 'local', model: '*', input_usd_per_mtok: '4' },
      { model: 'twice', input_usd_per_mtok: '5' },
      { model: 'twice', input_usd_per_mtok: '6' },
    ]
    const book = bookOf({ prices })
    const input = (upstream: string, model: string) =>
      book.explain({ upstream, model }, TODAY)?.bands[0]?.cost.input_usd_per_mtok
    expect(input('openai', 'llama-2')).toBe('1')
    expect(input('openai', 'llama-3-70b')).toBe('2')
    expect(input('openai', 'llama-3-8b')).toBe('3')
    expect(input('local', 'llama-3-8b')).toBe('4')
    expect(input('openai', 'twice')).toBe('6')
  })

  it('is none for a model nobody prices: refused, never free', () => {
    const book = bookOf()
    expect(book.find(ask('openai', 'gpt-99'))).toBeNull()
    expect(book.find(ask('local', 'gpt-4o'))).toBeNull()
    expect(book.find(ask('no-such-upstream', 'gpt-4o'))).toBeNull()
    expect(book.find(ask('openai', 'gpt-4o'.padEnd(300, 'x')))).toBeNull()
  })

  it('is not touched by an entry that names limits or service tiers only', () => {
    const prices = [
      { upstream: 'openai', model: 'gpt-4o', max_output_tokens: 100 },
      { model: 'gpt-*', service_tiers: { priority: { multiplier: '1.7' } } },
    ]
    const book = bookOf({ prices })
    const price = priceOf(book, ask('openai', 'gpt-4o'))
    expect(price).toMatchObject({ maxOutputTokens: 100, contextTokens: 128_000 })
    expect(price.version).toMatch(/^seed:/)
    const usage = { input_tokens: 10 }
    const query = ask('openai', 'gpt-4o')
    expect(book.charge(price, query, usage, 'priority').costPicoUsd).toBe(42_500_000n)
  })

  it('replaces all prices of the source below, but keeps the limits it does not name', () => {
    const prices = [{ model: 'gpt-5.5', input_usd_per_mtok: '1', output_usd_per_mtok: '2' }]
    const explained = bookOf({ prices }).explain({ upstream: 'openai', model: 'gpt-5.5' }, TODAY)
    expect(explained?.bands).toHaveLength(1)
    expect(explained).toMatchObject({ max_output_tokens: 128_000, context_tokens: 1_000_000 })
  })
})

describe('versions', () => {
  const version = (input: Parameters<typeof bookOf>[0], accountMarkup: string | null = null) =>
    priceOf(bookOf(input), ask('openai', 'gpt-4o', { accountMarkup })).version

  it('are the same for the same content, in any process', () => {
    expect(version({})).toBe(version({}))
    const written = { model: 'gpt-4o', input_usd_per_mtok: '1', output_usd_per_mtok: '2' }
    const turned = { output_usd_per_mtok: '2.0', input_usd_per_mtok: '1', model: 'gpt-4o' }
    expect(version({ prices: [written] })).toBe(version({ prices: [turned] }))
  })

  it('differ by everything a charge follows from', () => {
    const all = [
      version({}),
      version({}, '2'),
      version({ credits: { per_usd: '101', markup: '1.20' } }),
      version({ sell: [{ model: 'gpt-4o', credits_per_request: '1' }] }),
      version({ prices: [{ model: 'gpt-4o', input_usd_per_mtok: '2.5' }] }),
    ]
    expect(new Set(all).size).toBe(all.length)
  })

  it('wait to be recorded, once', () => {
    const book = bookOf()
    priceOf(book, ask('openai', 'gpt-4o'))
    priceOf(book, ask('openai', 'gpt-4o'))
    priceOf(book, ask('anthropic', 'claude-opus-5'))
    const waiting = book.unrecorded()
    expect(waiting.map(({ upstream, model }) => [upstream, model])).toEqual([
      ['openai', 'gpt-4o'],
      ['anthropic', 'claude-opus-5'],
    ])
    expect(JSON.parse(waiting[0]?.document ?? '')).toMatchObject({
      kind: 'resolved',
      markup: '1.20',
      credits_per_usd: '100',
      cost_pico_usd: { prices: { input: '2500000', output: '10000000' } },
    })
    book.recorded(waiting.map((one) => one.version))
    book.replace({})
    priceOf(book, ask('openai', 'gpt-4o'))
    expect(book.unrecorded()).toEqual([])
  })
})

describe('the book', () => {
  it('gives the same price until the prices change, and the old one stays good', () => {
    const book = bookOf({ credits: { per_usd: '1', markup: '1' } })
    const query = ask('openai', 'gpt-4o')
    const before = priceOf(book, query)
    expect(book.find(query)).toBe(before)
    const prices = priceConfigSchema.parse([{ model: 'gpt-4o', input_usd_per_mtok: '100' }])
    book.replace({ admin: { ...NO_OVERRIDES, prices } })
    const after = priceOf(book, query)
    const micros = (price: typeof before) =>
      book.charge(price, query, { input_tokens: 1_000 }, null).micros
    expect([micros(before), micros(after)]).toEqual([2_500, 100_000])
  })

  it('changes with the date, for late requests backwards too', () => {
    const book = bookOf()
    const at = (iso: string) =>
      priceOf(book, ask('openai', 'o3', { atMs: Date.parse(iso) })).version
    const old = at('2025-06-09T23:59:59Z')
    const fresh = at('2025-06-10T00:00:00Z')
    expect(fresh).not.toBe(old)
    expect(at('2025-06-09T23:59:59Z')).toBe(old)
    expect(at('2026-06-10T00:00:00Z')).toBe(fresh)
  })

  it('refuses prices that it did not give out', () => {
    const book = bookOf()
    const limits = { maxOutputTokens: null, contextTokens: null }
    const foreign = { version: 'x', modelPattern: 'm', ...limits, coversTokens: true }
    expect(() => book.charge(foreign, ask('openai', 'gpt-4o'), {}, null)).toThrow('no book gave')
  })

  it('explains both books per unit', () => {
    const sell = [{ model: 'gpt-image-*', credits_per_image: '5' }]
    const book = bookOf({ sell })
    expect(
      book.explain({ upstream: 'openai', model: 'gpt-4o-mini-2024-07-18' }, TODAY),
    ).toMatchObject({
      source: 'seed',
      model_pattern: 'gpt-4o-mini',
      provider: 'openai',
      sell_source: 'cost × markup',
      markup: '1.20',
      max_output_tokens: 16_384,
      bands: [
        {
          above_input_tokens: null,
          cost: { input_usd_per_mtok: '0.15', cache_read_usd_per_mtok: '0.075' },
          sell: { input_credits_per_mtok: '18', cache_read_credits_per_mtok: '9' },
        },
      ],
    })
    expect(book.explain({ upstream: 'openai', model: 'gpt-image-1' }, TODAY)).toMatchObject({
      sell_source: 'config',
      sell_pattern: 'gpt-image-*',
      bands: [{ sell: { credits_per_image: '5', output_credits_per_mtok: '4800' } }],
    })
    expect(book.explain({ upstream: 'openai', model: 'gpt-99' }, TODAY)).toBeNull()
  })

  it('lists what can rule, in ruling order', () => {
    const book = bookOf({
      prices: [{ model: 'a', input_usd_per_mtok: '1' }],
      adminPrices: [{ model: 'b', input_usd_per_mtok: '1' }],
      sell: [{ model: 'c', markup: '2' }],
    })
    const rows = book.list()
    expect(rows.slice(0, 3).map((row) => [row.kind, row.source, row.model])).toEqual([
      ['cost', 'admin', 'b'],
      ['cost', 'config', 'a'],
      ['sell', 'config', 'c'],
    ])
    expect(
      rows.filter((row) => row.kind === 'seed' && row.upstream === 'openai').length,
    ).toBeGreaterThan(80)
  })
})

describe('the cache', () => {
  it('holds no more than its bound and keeps what is asked for', () => {
    const cache = makeGenerationCache<number>(100)
    cache.set('kept', 1)
    for (let i = 0; i < 10_000; i++) {
      cache.set(`other ${i}`, i)
      expect(cache.get('kept')).toBe(1)
      expect(cache.size).toBeLessThanOrEqual(100)
    }
    expect(cache.get('other 1')).toBeUndefined()
  })
})
