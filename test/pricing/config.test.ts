import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  creditsConfigSchema,
  priceConfigSchema,
  priceEntrySchema,
  sellEntrySchema,
} from '../../src/pricing/config.ts'

const complaint = (schema: z.ZodType, value: unknown): string => {
  const result = schema.safeParse(value)
  return result.success ? '' : z.prettifyError(result.error)
}

describe('the price schemas', () => {
  it('take the example of the documentation', () => {
    const entries = priceConfigSchema.parse([
      {
        upstream: 'local',
        model: 'llama-*',
        input_usd_per_mtok: '0.10',
        output_usd_per_mtok: '0.40',
      },
      { upstream: 'weather', per_request_usd: '0.002' },
    ])
    expect(entries[0]).toEqual({
      upstream: 'local',
      model: 'llama-*',
      input_usd_per_mtok: '0.10',
      output_usd_per_mtok: '0.40',
    })
    expect(sellEntrySchema.parse({ model: 'gpt-image-*', credits_per_image: '5' })).toBeDefined()
    expect(creditsConfigSchema.parse({ per_usd: 100, markup: '1.20' })).toEqual({
      per_usd: '100',
      markup: '1.20',
    })
    expect(creditsConfigSchema.parse({})).toEqual({ per_usd: '100', markup: '1' })
  })

  it('refuse a price that YAML read as a binary fraction, and say to quote it', () => {
    const text = complaint(priceEntrySchema, { model: 'm', input_usd_per_mtok: 0.1 })
    expect(text).toContain('in quotes')
    expect(text).toContain('input_usd_per_mtok')
  })

  it.each([
    [{ model: 'm', input_usd_per_mtok: '0.0000001' }, 'at most 6 decimals'],
    [{ model: 'm', input_usd_per_mtok: '-1' }, 'plain decimal'],
    [{ model: 'm', input_usd_per_mtok: '1e3' }, 'plain decimal'],
    [{ model: 'm', input_usd_per_mtok: '' }, 'plain decimal'],
    [{ model: 'm', inputs_usd_per_mtok: '1' }, 'inputs_usd_per_mtok'],
    [{ input_usd_per_mtok: '1' }, 'name an upstream'],
    [{ model: 'm' }, 'names no price'],
    [{ model: 'm', cache_read_usd_per_mtok: '1' }, 'input_usd_per_mtok'],
    [{ model: 'm', tiers: [{ above_input_tokens: 5 }], output_usd_per_mtok: '1' }, 'tiers need'],
    [
      {
        model: 'm',
        input_usd_per_mtok: '1',
        tiers: [{ above_input_tokens: 5 }, { above_input_tokens: 5 }],
      },
      'ascending',
    ],
    [{ model: 'm', service_tiers: { flex: {} } }, 'multiplier or prices'],
    [
      { model: 'm', service_tiers: { flex: { multiplier: '0.5', input_usd_per_mtok: '1' } } },
      'not both',
    ],
  ])('refuse %j', (entry, words) => {
    expect(complaint(priceEntrySchema, entry)).toContain(words)
  })

  it('refuse sales and credits that say nothing', () => {
    expect(complaint(sellEntrySchema, { model: 'm' })).toContain('markup')
    expect(complaint(creditsConfigSchema, { per_usd: '0' })).toContain('more than zero')
  })

  it('can be published as JSON Schema of what is written', () => {
    expect(() => z.toJSONSchema(priceConfigSchema, { io: 'input' })).not.toThrow()
  })
})
