import { divideUp, timesUp, type Ratio } from './decimal.ts'
import type { ContextTier, Named, PriceDocument, ServiceTierPrices } from './document.ts'
import type { TierChoice } from './service-tiers.ts'
import { indexOf, TOKEN_END, TOKEN_UNITS, UNITS, type Unit } from './units.ts'

/** How gaps are filled where a document is silent; follows from who serves the model. */
export interface GapRules {
  /** Cache writes cost more than input: 1.25 times, for an hour twice (Anthropic's protocol). */
  readonly dearCacheWrites: boolean
  /** Pico-dollars of a web search. */
  readonly webSearch: bigint
}

/** Prices that rule above a number of input tokens, pico-dollars, in the order of UNITS. */
export interface Band {
  readonly above: number
  readonly cost: readonly bigint[]
  /**
   * The same where a request reports no tokens at all: images, seconds and characters without a
   * price of their own then cost a cautious number of tokens, never nothing.
   */
  readonly alone: readonly bigint[]
}

/**
 * Tokens that stand for a unit which a provider reports instead of tokens, chosen above what the
 * dearest known model takes: Gemini hears 32 tokens a second; speech takes about 1.3 audio tokens
 * a character; a gpt-image-1 picture of high quality has 6 208 tokens.
 */
const SECOND = { inputAudio: 32n, output: 8n }
const CHARACTER = { input: 1n, outputAudio: 2n }
const IMAGE_OUTPUT_TOKENS = 10_000n

const largest = (...values: (bigint | undefined)[]): bigint =>
  values.reduce<bigint>((most, value) => (value !== undefined && value > most ? value : most), 0n)

/**
 * Every unit's price. A token without a price of its own costs what the dearer of its kin costs:
 * cached and audio input as input, audio output as output, output as input where only that is
 * known, input as the dearest token. Web searches cost the dearest listed price, where tokens are
 * priced at all. Source: providers.md §4–5 (a missing price is never zero).
 */
function fillGaps(named: Named, rules: GapRules): readonly bigint[] {
  const input = named.input ?? largest(...TOKEN_UNITS.map((unit) => named[unit]))
  const output = named.output ?? largest(input, named.output_audio)
  const shortWrite = rules.dearCacheWrites ? divideUp(input * 5n, 4n) : input
  const cacheWrite = named.cache_write ?? shortWrite
  const hourWrite = largest(cacheWrite, rules.dearCacheWrites ? input * 2n : input)
  const pricesTokens = input > 0n || output > 0n
  const filled: Record<Unit, bigint> = {
    input,
    cache_read: named.cache_read ?? input,
    cache_write: cacheWrite,
    cache_write_1h: named.cache_write_1h ?? hourWrite,
    input_audio: named.input_audio ?? input,
    input_image: named.input_image ?? input,
    output,
    output_audio: named.output_audio ?? output,
    web_search: named.web_search ?? (pricesTokens ? rules.webSearch : 0n),
    request: named.request ?? 0n,
    image: named.image ?? 0n,
    second: named.second ?? 0n,
    character: named.character ?? 0n,
    unit: named.unit ?? 0n,
    request_byte: named.request_byte ?? 0n,
    response_byte: named.response_byte ?? 0n,
  }
  return UNITS.map((unit) => filled[unit])
}

const at = (cost: readonly bigint[], unit: Unit): bigint => cost[indexOf(unit)] ?? 0n

/** Whether a document prices tokens, so that units reported alone can be told in tokens. */
function standAlone(named: Named, cost: readonly bigint[]): readonly bigint[] {
  const derived: Named = {
    image: IMAGE_OUTPUT_TOKENS * at(cost, 'output'),
    second: SECOND.inputAudio * at(cost, 'input_audio') + SECOND.output * at(cost, 'output'),
    character:
      CHARACTER.input * at(cost, 'input') + CHARACTER.outputAudio * at(cost, 'output_audio'),
  }
  return UNITS.map((unit, index) => named[unit] ?? derived[unit] ?? cost[index] ?? 0n)
}

interface NamedBand {
  readonly above: number
  readonly prices: Named
}

function layered(base: Named, tiers: readonly ContextTier[]): NamedBand[] {
  const bands: NamedBand[] = [{ above: -1, prices: base }]
  let prices = base
  for (const tier of tiers) {
    prices = { ...prices, ...tier.prices }
    bands.push({ above: tier.above, prices })
  }
  return bands
}

/**
 * A service tier's own prices in every context band. A tier that names no bands of its own rises
 * with the standard ones, in proportion and rounded up, so that long prompts are not undercharged.
 */
function withServiceTier(bands: readonly NamedBand[], tier: ServiceTierPrices): NamedBand[] {
  const base = bands[0]?.prices ?? {}
  if (tier.tiers.length > 0) return layered({ ...base, ...tier.prices }, tier.tiers)
  return bands.map((band) => {
    const prices = { ...band.prices }
    for (const unit of UNITS) {
      const own = tier.prices[unit]
      if (own === undefined) continue
      const [high, low] = [band.prices[unit] ?? 0n, base[unit] ?? 0n]
      prices[unit] = high > low && low > 0n ? timesUp(own, { num: high, den: low }) : own
    }
    return { above: band.above, prices }
  })
}

/** Tiers multiply tokens; other units only when dearer; fees for searches are the same in all. */
function multiplied(cost: readonly bigint[], ratio: Ratio): readonly bigint[] {
  if (ratio.num === ratio.den) return cost
  const search = indexOf('web_search')
  return cost.map((price, index) =>
    index < TOKEN_END || (index !== search && ratio.num > ratio.den)
      ? timesUp(price, ratio)
      : price,
  )
}

/** The bands of a document in one service tier, lowest first; the first is above −1. */
export function compileBands(
  document: PriceDocument,
  rules: GapRules,
  choice: TierChoice,
): readonly Band[] {
  const standard = layered(document.prices, document.tiers)
  const named = choice.fields === null ? standard : withServiceTier(standard, choice.fields)
  return named.map(({ above, prices }) => {
    const cost = fillGaps(prices, rules)
    return {
      above,
      cost: multiplied(cost, choice.multiplier),
      alone: multiplied(standAlone(prices, cost), choice.multiplier),
    }
  })
}
