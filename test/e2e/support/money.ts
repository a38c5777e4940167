/**
 * Prices of every priced model in these tests, and what they come to. The arithmetic here is not
 * the product's: cost × 1.20 at 100 credits a dollar, so that every rate is a whole number of
 * micros: 1 USD per million tokens = 120 micros a token.
 */
export const PRICES = {
  input_usd_per_mtok: '1',
  cache_read_usd_per_mtok: '0.1',
  cache_write_usd_per_mtok: '1.25',
  cache_write_1h_usd_per_mtok: '2',
  input_audio_usd_per_mtok: '8',
  output_usd_per_mtok: '4',
  output_audio_usd_per_mtok: '16',
  per_web_search_usd: '0.01',
  per_image_usd: '0.05',
  context_tokens: 2_000_000,
} as const

export const CREDITS = { per_usd: 100, markup: '1.20' } as const

const RATES: Readonly<Record<string, number>> = {
  input_tokens: 120,
  cache_read_tokens: 12,
  cache_write_tokens: 150,
  cache_write_5m_tokens: 150,
  cache_write_1h_tokens: 240,
  input_audio_tokens: 960,
  input_image_tokens: 120,
  output_tokens: 480,
  web_search_requests: 1_200_000,
  images: 6_000_000,
  // Without tokens and without prices of their own: 32 audio and 8 output tokens a second, one
  // input and two audio output tokens a character.
  seconds: 34_560,
  characters: 3_960,
}
const AUDIO_OUT = 1_920

/** Charge in micros for disjoint buckets; throws at a bucket that has no rate here. */
export function chargeFor(usage: Readonly<Record<string, number>>): number {
  let sum = 0
  for (const [bucket, count] of Object.entries(usage)) {
    const rate = RATES[bucket]
    if (bucket === 'output_reasoning_tokens') continue
    if (bucket === 'output_audio_tokens') sum += count * (AUDIO_OUT - (RATES.output_tokens ?? 0))
    else if (rate === undefined) throw new Error(`no rate for ${bucket}`)
    else sum += count * rate
  }
  return sum
}

export const MICROS = 1_000_000
