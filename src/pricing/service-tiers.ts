import { ONE, times, type Ratio } from './decimal.ts'
import type { PriceDocument, ServiceTierPrices } from './document.ts'

/** Names under which providers report their ordinary service. */
const STANDARD = new Set([
  '',
  'auto', // asked for; a response names what it got
  'default',
  'standard',
  'standard_only',
  'on_demand',
  'unspecified',
  'scale', // OpenAI scale tier: prepaid capacity, tokens at list price
])

const HALF: Ratio = { num: 1n, den: 2n }

/**
 * What a tier costs over standard where no price document says it. Where models differ it is the
 * dearest of them, so that a tier is never undercharged.
 * OpenAI: flex and batch are half price; priority (renamed fast) is 1.67 … 2.5 times
 * (openai.com/api-priority-processing, openai.com/api-fast-mode).
 * Anthropic: batch is half price; fast mode is 2 … 6 times (docs: build-with-claude/fast-mode);
 * the priority tier draws on capacity that was committed at list price or below; inference bound
 * to the US costs 1.1 times (docs: about-claude/pricing).
 */
const KNOWN: Readonly<Record<string, ReadonlyMap<string, Ratio>>> = {
  openai: new Map([
    ['flex', HALF],
    ['batch', HALF],
    ['priority', { num: 5n, den: 2n }],
    ['fast', { num: 5n, den: 2n }],
  ]),
  anthropic: new Map([
    ['batch', HALF],
    ['priority', ONE],
    ['fast', { num: 6n, den: 1n }],
    ['inference_geo_us', { num: 11n, den: 10n }],
  ]),
}

/** Anywhere else a discount is not ours to assume: these cost the standard price. */
const AT_MOST_STANDARD = new Set(['flex', 'batch'])

/** A tier that nobody described costs as much as the dearest tier of any provider known today. */
const UNKNOWN_TIER: Ratio = { num: 6n, den: 1n }

/** Parts of a compound tier ("standard+fast") that are looked at; longer ones are unknown. */
const PARTS_MAX = 3

export interface TierChoice {
  /** One of finitely many names, fit for a cache. '' = standard. */
  readonly key: string
  readonly fields: ServiceTierPrices | null
  readonly multiplier: Ratio
}

const CHOICE_STANDARD: TierChoice = { key: '', fields: null, multiplier: ONE }
const CHOICE_UNKNOWN: TierChoice = { key: '?', fields: null, multiplier: UNKNOWN_TIER }

/**
 * How a tier is priced: the document's own word, else the provider's known multiplier, else
 * standard for names that mean it, else the dearest. `provider` is the catalogue's id of who serves
 * the model, null = unknown. Names joined by '+' apply together, so a protocol can report speed
 * beside the tier.
 */
export function chooseTier(
  name: string | null,
  document: PriceDocument,
  provider: string | null,
): TierChoice {
  if (name === null) return CHOICE_STANDARD
  const parts = name.length > 128 ? [] : name.toLowerCase().split('+')
  if (parts.length === 0 || parts.length > PARTS_MAX) return CHOICE_UNKNOWN
  let choice = CHOICE_STANDARD
  for (const part of parts) {
    const next = choosePart(part, document, provider)
    if (next.key === '?') return CHOICE_UNKNOWN
    if (next.fields !== null && choice.fields !== null) return CHOICE_UNKNOWN
    choice = {
      key: next.key === '' ? choice.key : `${choice.key}+${next.key}`,
      fields: choice.fields ?? next.fields,
      multiplier: times(choice.multiplier, next.multiplier),
    }
  }
  return choice
}

function choosePart(part: string, document: PriceDocument, provider: string | null): TierChoice {
  const own = document.serviceTiers.get(part)
  if (own !== undefined) {
    return own.multiplier === null
      ? { key: part, fields: own, multiplier: ONE }
      : { key: part, fields: null, multiplier: own.multiplier }
  }
  const known = provider === null ? undefined : KNOWN[provider]?.get(part)
  if (known !== undefined) return { key: part, fields: null, multiplier: known }
  return STANDARD.has(part) || AT_MOST_STANDARD.has(part) ? CHOICE_STANDARD : CHOICE_UNKNOWN
}
