import { describe, expect, it } from 'vitest'
import { catalogue, TODAY } from './support.ts'
import { clauseMatches, findModel } from '../../src/pricing/catalogue-match.ts'
import { readPrices } from '../../src/pricing/catalogue-document.ts'
import { calcPrice, waitForUpdate, type Provider } from '@pydantic/genai-prices'
import { makeCatalogue } from '../../src/pricing/catalogue.ts'
import { catalogueOf } from '../../src/pricing/resolve.ts'

const found = (provider: string, model: string, atMs = TODAY) => {
  const match = catalogue.find(provider, model, atMs)
  if (match === null) throw new Error(`not found: ${model}`)
  return match
}

describe('the seed catalogue', () => {
  it('reads the decimals of the package exactly', () => {
    expect(found('openai', 'gpt-4o-mini').document.prices).toMatchObject({
      input: 150_000n,
      cache_read: 75_000n,
      output: 600_000n,
      web_search: 10_000_000_000n,
    })
    expect(found('openai', 'whisper-1').document.prices).toEqual({ second: 100_000_000n })
  })

  it('finds dated snapshots by the clauses of the catalogue, not by likeness', () => {
    expect(found('openai', 'gpt-4o-mini-2024-07-18').modelId).toBe('gpt-4o-mini')
    expect(found('openai', 'gpt-4o-2024-05-13').document.prices.input).toBe(5_000_000n)
    expect(found('openai', 'gpt-4o-2024-11-20').document.prices.input).toBe(2_500_000n)
    expect(found('anthropic', 'claude-haiku-4-5-20251001').modelId).toBe('claude-haiku-4-5')
    expect(found('openai', 'GPT-4o').modelId).toBe('gpt-4o')
    expect(catalogue.find('openai', 'gpt-4o-2099-01-01', TODAY)).toBeNull()
    expect(catalogue.find('openai', 'gpt-4oo', TODAY)).toBeNull()
    expect(catalogue.find('nobody', 'gpt-4o', TODAY)).toBeNull()
  })

  it('chooses dated prices by the moment, and says how long they hold', () => {
    const before = found('openai', 'o3', Date.parse('2025-06-09T23:59:59.999Z'))
    const after = found('openai', 'o3', Date.parse('2025-06-10T00:00:00Z'))
    expect(before.document.prices.input).toBe(10_000_000n)
    expect(after.document.prices.input).toBe(2_000_000n)
    expect(before.untilMs).toBe(Date.parse('2025-06-10T00:00:00Z'))
    expect(after).toMatchObject({ fromMs: before.untilMs, untilMs: Infinity })
  })

  it('chooses prices by the time of day', () => {
    const night = found('deepseek', 'deepseek-reasoner', Date.parse('2025-07-01T16:30:00Z'))
    const day = found('deepseek', 'deepseek-reasoner', Date.parse('2025-07-01T16:29:59Z'))
    expect(day.document.prices.input).toBe(550_000n)
    expect(night.document.prices.input).toBe(135_000n)
    expect(day.untilMs).toBe(Date.parse('2025-07-01T16:30:00Z'))
    expect(night.untilMs).toBe(Date.parse('2025-07-02T00:30:00Z'))
  })

  it('turns context tiers into bands', () => {
    const { document } = found('openai', 'gpt-5.5')
    expect(document.prices.input).toBe(5_000_000n)
    expect(document.tiers).toEqual([
      {
        above: 271_999,
        prices: {
          input: 10_000_000n,
          cache_read: 1_000_000n,
          output: 45_000_000n,
          web_search: 10_000_000_000n,
        },
      },
    ])
  })

  it('fills what the package lacks from its own table', () => {
    expect(found('openai', 'gpt-4o-audio-preview').document.prices).toMatchObject({
      input_audio: 40_000_000n,
      output_audio: 80_000_000n,
    })
    expect(found('openai', 'gpt-4o').document.maxOutputTokens).toBe(16_384)
    expect(found('openai', 'gpt-5-pro').document.maxOutputTokens).toBe(272_000)
    expect(found('anthropic', 'claude-opus-5-5').document).toMatchObject({
      maxOutputTokens: 128_000,
      contextTokens: 1_000_000,
    })
    expect(found('openai', 'tts-1').document.prices.character).toBe(15_000_000n)
    expect(found('openai', 'omni-moderation-latest').document.prices).toEqual({ request: 0n })
    expect(found('openai', 'gpt-image-1.5').document.prices.output).toBe(32_000_000n)
  })

  it('knows no model from our table alone unless the table names its whole price', () => {
    expect(catalogue.find('openai', 'gpt-image-1-nonsense', TODAY)).toBeNull()
  })

  it('treats models without any price as unknown, never as free', () => {
    expect(catalogue.find('google', 'gemma-3', TODAY)).toBeNull()
    expect(catalogue.find('mistral', 'mistral-ocr-latest', TODAY)).toBeNull()
  })

  it('tells the provider by the base URL', () => {
    expect(catalogue.providerFor('https://api.openai.com')).toBe('openai')
    expect(catalogue.providerFor('https://api.anthropic.com/v1')).toBe('anthropic')
    expect(catalogue.providerFor('http://127.0.0.1:8000')).toBeNull()
    const local = { baseUrl: 'http://127.0.0.1:8000' }
    expect(catalogueOf(catalogue, local)).toBeNull()
    expect(catalogueOf(catalogue, { ...local, catalogue: 'openai' })).toBe('openai')
    const none = { baseUrl: 'https://api.openai.com', catalogue: 'none' }
    expect(catalogueOf(catalogue, none)).toBeNull()
  })

  it('resells models of other providers where the catalogue says so', () => {
    expect(found('azure', 'gpt-4o-mini')).toMatchObject({ provider: 'openai' })
  })
})

describe('matching', () => {
  const provider = (match: Provider['models'][number]['match']): Provider => ({
    id: 'p',
    name: 'P',
    api_pattern: 'https://p',
    models: [{ id: 'm', match, prices: { input_mtok: 1 } }],
  })

  it('knows every clause', () => {
    const yes = (clause: Parameters<typeof clauseMatches>[0], model: string) => {
      expect(clauseMatches(clause, model)).toBe(true)
    }
    yes({ starts_with: 'GPT-' }, 'gpt-4')
    yes({ ends_with: '-Mini' }, 'gpt-4-mini')
    yes({ contains: 'laud' }, 'claude')
    yes({ regex: '^o[134]' }, 'o3-mini')
    yes({ and: [{ contains: 'a' }, { contains: 'b' }] }, 'ab')
    expect(clauseMatches({ and: [{ contains: 'a' }, { contains: 'b' }] }, 'ac')).toBe(false)
    expect(clauseMatches({ or: [{ equals: 'a' }, { equals: 'b' }] }, 'c')).toBe(false)
  })

  it('tries a compact date with dashes, only where it is a day', () => {
    const p = provider({ equals: 'm-2024-07-18' })
    expect(findModel(new Map(), p, 'm-20240718')?.model.id).toBe('m')
    expect(findModel(new Map(), provider({ equals: 'm-2024-02-31' }), 'm-20240231')).toBeNull()
  })

  it('agrees with the package about every model that the catalogue names', async () => {
    const data = (await waitForUpdate()) ?? []
    const providers = new Map(data.map((p) => [p.id, p]))
    let compared = 0
    for (const p of data) {
      for (const { id } of p.models) {
        const theirs = calcPrice({ input_tokens: 1 }, id, {
          provider: p,
          timestamp: new Date(TODAY),
        })
        const ours = findModel(providers, p, id)
        expect(ours?.model.id ?? null, `${p.id}/${id}`).toBe(theirs?.model.id ?? null)
        compared += 1
      }
    }
    expect(compared).toBeGreaterThan(1_000)
  })

  it('costs what the package computes, to within its floats', async () => {
    const data = (await waitForUpdate()) ?? []
    const ours = makeCatalogue(data)
    let compared = 0
    for (const p of data) {
      for (const { id } of p.models) {
        const options = { provider: p, timestamp: new Date(TODAY) }
        const theirs = calcPrice({ input_tokens: 1_000_000 }, id, options)
        const match = ours.find(p.id, id, TODAY)
        if (theirs === null || match?.document.prices.input === undefined) continue
        const tier = match.document.tiers.findLast((layer) => layer.above < 1_000_000)
        const input = { ...match.document.prices, ...tier?.prices }.input ?? 0n
        expect(Number(input) / 1e6, `${p.id}/${id}`).toBeCloseTo(theirs.input_price, 5)
        compared += 1
      }
    }
    expect(compared).toBeGreaterThan(1_000)
  })
})

describe('two keys of one unit', () => {
  it('take the dearer, so images inside the output are never undercharged', () => {
    expect(readPrices({ input_mtok: 0.3, output_mtok: 2.5, output_image_mtok: 30 }).prices).toEqual(
      {
        input: 300_000n,
        output: 30_000_000n,
      },
    )
  })
})
