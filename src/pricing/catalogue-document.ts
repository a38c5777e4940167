import type { ModelPrice, TieredPrices } from '@pydantic/genai-prices'
import { invariant } from '../kernel/invariant.ts'
import { divideUp, scaledUp } from './decimal.ts'
import type { ContextTier, Named } from './document.ts'
import type { Unit } from './units.ts'

/** How a key of the catalogue becomes pico-dollars of a unit: USD × 10^places ÷ per, rounded up. */
interface Conversion {
  readonly unit: Unit
  readonly places: number
  readonly per: bigint
}

const perMtok = (unit: Unit): Conversion => ({ unit, places: 6, per: 1n })
const perThousand = (unit: Unit): Conversion => ({ unit, places: 9, per: 1n })
const perHour = (unit: Unit): Conversion => ({ unit, places: 12, per: 3600n })

/**
 * Keys that we meter. Two keys of one unit: the dearer rules, so that images, video or reasoning
 * inside `output_tokens` are never undercharged. Left out, since nothing reports them apart:
 * cached audio and images (in cache reads; gaps table), video input, pages, storage searches.
 */
const KEYS: ReadonlyMap<string, Conversion> = new Map([
  ['input_mtok', perMtok('input')],
  ['cache_read_mtok', perMtok('cache_read')],
  ['cache_write_mtok', perMtok('cache_write')],
  ['cache_write_1h_mtok', perMtok('cache_write_1h')],
  ['input_audio_mtok', perMtok('input_audio')],
  ['input_image_mtok', perMtok('input_image')],
  ['output_mtok', perMtok('output')],
  ['output_image_mtok', perMtok('output')],
  ['output_video_mtok', perMtok('output')],
  ['output_reasoning_mtok', perMtok('output')],
  ['output_citation_mtok', perMtok('output')],
  ['output_audio_mtok', perMtok('output_audio')],
  ['web_searches_kcount', perThousand('web_search')],
  ['requests_kcount', perThousand('request')],
  ['audio_hours', perHour('second')],
  ['input_audio_hours', perHour('second')],
])

function picoOf(usd: number, { places, per }: Conversion): bigint {
  const scaled = scaledUp(usd, places)
  invariant(scaled !== null, `the catalogue has a price that is none: ${usd}`)
  return divideUp(scaled, per)
}

const raise = (named: Named, unit: Unit, price: bigint): void => {
  const before = named[unit]
  if (before === undefined || price > before) named[unit] = price
}

function steps(value: number | TieredPrices): { above: number; price: number }[] {
  if (typeof value === 'number') return [{ above: -1, price: value }]
  return [
    { above: -1, price: value.base },
    ...value.tiers.map(({ start, price }) => ({ above: start, price })),
  ]
}

/** Base prices and context tiers of one model, exact from the decimals of the catalogue. */
export function readPrices(prices: ModelPrice): { prices: Named; tiers: ContextTier[] } {
  const priced = [...KEYS].flatMap(([key, conversion]) => {
    const value = prices[key]
    return value === undefined ? [] : [{ conversion, steps: steps(value) }]
  })
  const marks = [...new Set(priced.flatMap((key) => key.steps.map((step) => step.above)))]
  marks.sort((a, b) => a - b)
  const layers = marks.map((above) => {
    const named: Named = {}
    for (const { conversion, steps } of priced) {
      const step = steps.findLast((candidate) => candidate.above <= above)
      if (step !== undefined) raise(named, conversion.unit, picoOf(step.price, conversion))
    }
    return { above, prices: named }
  })
  return { prices: layers[0]?.prices ?? {}, tiers: layers.slice(1) }
}
