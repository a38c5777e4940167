import { z } from 'zod'
import { parseCredits, type Micros } from '../kernel/money.ts'
import { parseDecimal } from './decimal.ts'

/** Decimals with a unit, at the edge: quoted text, or a whole number. Never a binary fraction. */
const decimal = (places: number, example: string) =>
  z
    .union([z.string(), z.int().nonnegative()], {
      error: `must be a decimal in quotes, like "${example}"`,
    })
    .transform(String)
    .refine((text) => parseDecimal(text, places) !== null, {
      error: `must be a plain decimal ≥ 0 with at most ${places} decimals, like "${example}"`,
    })
    .optional()

// 10⁻⁶ USD per million tokens is one pico-dollar per token; 10⁻¹² USD per unit is one pico-dollar.
const perMtok = decimal(6, '0.10')
const perUnit = decimal(12, '0.002')
const credits = decimal(6, '5')
const factor = decimal(9, '1.20')
const wholeTokens = z.int().positive().max(100_000_000)

const AMOUNT_IN_WORDS = 'must be credits in quotes with at most six decimals, or a whole number'

/** An amount of credits in a configuration: quoted text or a whole number, not below zero. */
export const creditsAmount = z
  .union([z.string(), z.int()], { error: AMOUNT_IN_WORDS })
  .transform((value, context): Micros => {
    const parsed = parseCredits(String(value))
    if (parsed !== null && parsed >= 0) return parsed
    context.addIssue({ code: 'custom', message: AMOUNT_IN_WORDS })
    return z.NEVER
  })

/** The same where nothing would make no sense. */
export const creditsAboveZero = creditsAmount.refine((amount) => amount > 0, {
  error: 'must be more than zero',
})

const tokenPrices = {
  input_usd_per_mtok: perMtok,
  cache_read_usd_per_mtok: perMtok,
  cache_write_usd_per_mtok: perMtok,
  cache_write_1h_usd_per_mtok: perMtok,
  input_audio_usd_per_mtok: perMtok,
  input_image_usd_per_mtok: perMtok,
  output_usd_per_mtok: perMtok,
  output_audio_usd_per_mtok: perMtok,
}

const unitPrices = {
  per_web_search_usd: perUnit,
  per_request_usd: perUnit,
  per_image_usd: perUnit,
  per_second_usd: perUnit,
  per_character_usd: perUnit,
  per_unit_usd: perUnit,
  per_request_mb_usd: perMtok,
  per_response_mb_usd: perMtok,
}

const prices = { ...tokenPrices, ...unitPrices }

const contextTiers = z
  .array(z.strictObject({ above_input_tokens: wholeTokens, ...tokenPrices }))
  .max(16)
  .refine(
    (tiers) =>
      tiers.every(
        (tier, index) => tier.above_input_tokens > (tiers[index - 1]?.above_input_tokens ?? 0),
      ),
    { error: 'tiers must be in ascending order of above_input_tokens, each named once' },
  )
  .optional()

const serviceTier = z
  .strictObject({ multiplier: factor, ...prices, tiers: contextTiers })
  .refine((tier) => Object.keys(tier).length > 0, { error: 'name a multiplier or prices' })
  .refine((tier) => tier.multiplier === undefined || Object.keys(tier).length === 1, {
    error: 'name either a multiplier or prices, not both',
  })

const names = {
  upstream: z.string().min(1).max(128).optional(),
  model: z.string().min(1).max(256).optional(),
}

const namesInputKin = (entry: Record<string, unknown>): boolean =>
  Object.keys(entry).some((key) => /^(cache|input)_.*_usd_per_mtok$/.test(key))

/**
 * Provider cost of models that match: over the catalogue. An entry that names any price replaces
 * all prices below it; one that names none only adds limits and service tiers. Source: design §10.
 */
export const priceEntrySchema = z
  .strictObject({
    ...names,
    ...prices,
    max_output_tokens: wholeTokens.optional(),
    context_tokens: wholeTokens.optional(),
    tiers: contextTiers,
    service_tiers: z
      .record(z.string().regex(/^[a-z0-9_.-]{1,64}$/, 'lower case, like "flex"'), serviceTier)
      .optional(),
  })
  .refine((entry) => entry.upstream !== undefined || entry.model !== undefined, {
    error: 'name an upstream, a model ("gpt-4o", "llama-*") or both',
  })
  .refine((entry) => Object.keys(entry).some((key) => key !== 'upstream' && key !== 'model'), {
    error: 'names no price and no limit',
  })
  .refine((entry) => entry.input_usd_per_mtok !== undefined || !namesInputKin(entry), {
    error: 'a price for cached, audio or image input needs input_usd_per_mtok beside it',
  })
  .refine((entry) => entry.tiers === undefined || entry.input_usd_per_mtok !== undefined, {
    error: 'tiers need the prices they depart from: name input_usd_per_mtok',
  })

/** What accounts pay, where it is not cost × markup. Source: design §1 and §10. */
export const sellEntrySchema = z
  .strictObject({
    ...names,
    markup: factor,
    input_credits_per_mtok: credits,
    cache_read_credits_per_mtok: credits,
    cache_write_credits_per_mtok: credits,
    cache_write_1h_credits_per_mtok: credits,
    input_audio_credits_per_mtok: credits,
    input_image_credits_per_mtok: credits,
    output_credits_per_mtok: credits,
    output_audio_credits_per_mtok: credits,
    credits_per_web_search: credits,
    credits_per_request: credits,
    credits_per_image: credits,
    credits_per_second: credits,
    credits_per_character: credits,
    credits_per_unit: credits,
    credits_per_request_mb: credits,
    credits_per_response_mb: credits,
  })
  .refine((entry) => entry.upstream !== undefined || entry.model !== undefined, {
    error: 'name an upstream, a model ("gpt-image-*") or both',
  })
  .refine((entry) => Object.keys(entry).some((key) => key !== 'upstream' && key !== 'model'), {
    error: 'name a markup ("1.35") or a price in credits ("credits_per_image")',
  })

export const priceConfigSchema = z.array(priceEntrySchema)
export const sellConfigSchema = z.array(sellEntrySchema)

/** A factor over cost as decimal text, for accounts and entries. "1.20" is cost + 20 %. */
export const markupSchema = z
  .string()
  .refine((text) => parseDecimal(text, 9) !== null, { error: 'must be a decimal like "1.20"' })

export const creditsConfigSchema = z.strictObject({
  per_usd: decimal(6, '100')
    .unwrap()
    .refine((text) => (parseDecimal(text, 6) ?? 0n) > 0n, { error: 'must be more than zero' })
    .default('100'),
  markup: decimal(9, '1.20').unwrap().default('1'),
})

/** A row of the `prices` table that an operator wrote. */
export const overrideSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('cost'), entry: priceEntrySchema }),
  z.strictObject({ kind: z.literal('sell'), entry: sellEntrySchema }),
])

export type PriceEntry = z.infer<typeof priceEntrySchema>
export type SellEntry = z.infer<typeof sellEntrySchema>
export type CreditsConfig = z.infer<typeof creditsConfigSchema>
export type Override = z.infer<typeof overrideSchema>
