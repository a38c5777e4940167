import { z } from 'zod'
import { loadCatalogue } from '../../src/pricing/catalogue.ts'
import { makePriceBook, type ManagedPriceBook } from '../../src/pricing/book.ts'
import {
  creditsConfigSchema,
  priceConfigSchema,
  sellConfigSchema,
} from '../../src/pricing/config.ts'
import type { Price, PriceQuery } from '../../src/pricing/pricing.ts'

export const catalogue = await loadCatalogue()

/** After every dated change in the catalogue of the pinned package. */
export const TODAY = Date.parse('2026-11-21T12:00:00Z')

export interface BookInput {
  prices?: z.input<typeof priceConfigSchema>
  sell?: z.input<typeof sellConfigSchema>
  adminPrices?: z.input<typeof priceConfigSchema>
  adminSell?: z.input<typeof sellConfigSchema>
  credits?: z.input<typeof creditsConfigSchema>
}

const UPSTREAMS = [
  { name: 'openai', protocol: 'openai', catalogue: 'openai' },
  { name: 'anthropic', protocol: 'anthropic', catalogue: 'anthropic' },
  { name: 'local', protocol: 'openai', catalogue: null },
  { name: 'claude-proxy', protocol: 'anthropic', catalogue: null },
  { name: 'deepseek', protocol: 'openai', catalogue: 'deepseek' },
  { name: 'weather', protocol: 'http', catalogue: null },
]

export function bookOf(input: BookInput = {}): ManagedPriceBook {
  return makePriceBook({
    catalogue,
    sources: {
      upstreams: UPSTREAMS,
      credits: creditsConfigSchema.parse(input.credits ?? { per_usd: '100', markup: '1.20' }),
      config: {
        prices: priceConfigSchema.parse(input.prices ?? []),
        sell: sellConfigSchema.parse(input.sell ?? []),
      },
      admin: {
        prices: priceConfigSchema.parse(input.adminPrices ?? []),
        sell: sellConfigSchema.parse(input.adminSell ?? []),
      },
    },
  })
}

export const ask = (
  upstream: string,
  model: string,
  more: Partial<PriceQuery> = {},
): PriceQuery => ({
  upstream,
  model,
  atMs: TODAY,
  accountMarkup: null,
  ...more,
})

export function priceOf(book: ManagedPriceBook, query: PriceQuery): Price {
  const price = book.find(query)
  if (price === null) throw new Error(`no price for ${query.upstream}/${query.model}`)
  return price
}
