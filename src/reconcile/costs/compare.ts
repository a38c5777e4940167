import { DAY_MS } from '../../kernel/clock.ts'
import type { Drift } from '../drift.ts'
import { modelKey } from './models.ts'
import { agrees, usdText } from './usd.ts'

/** What one side says of a day and model. */
export interface DayCost {
  readonly day: number
  readonly model: string
  readonly pico: bigint
}

export interface CostSides {
  readonly provider: string
  readonly exported: readonly DayCost[]
  readonly receipts: readonly DayCost[]
  /** Credits of a US dollar, as a decimal. */
  readonly perUsd: string
}

interface Both {
  readonly model: string
  exported: bigint | null
  receipts: bigint | null
}

export const dayText = (day: number): string => new Date(day * DAY_MS).toISOString().slice(0, 10)

/** An export that is not by model names none: then a day is one sum on both sides. */
function byModel({ exported, receipts }: CostSides, day: number): Both[] {
  const [theirs, ours] = [exported, receipts].map((side) => side.filter((one) => one.day === day))
  const isTotal = theirs !== undefined && theirs.length > 0 && theirs.every((it) => it.model === '')
  const all = new Map<string, Both>()
  for (const side of ['exported', 'receipts'] as const) {
    for (const { model, pico } of (side === 'exported' ? theirs : ours) ?? []) {
      const name = isTotal ? '' : model
      const both = all.get(modelKey(name)) ?? { model: name, exported: null, receipts: null }
      both[side] = (both[side] ?? 0n) + pico
      all.set(modelKey(name), both)
    }
  }
  return [...all.values()]
}

function creditsOf(pico: bigint, perUsd: string): number | null {
  const [whole = '0', part = ''] = perUsd.split('.')
  const micros = (pico * BigInt(whole + part.slice(0, 6).padEnd(6, '0'))) / 10n ** 12n
  const number = Number(micros < 0n ? -micros : micros)
  return Number.isSafeInteger(number) ? number : null
}

function judge(sides: CostSides, day: number, both: Both): Drift | null {
  const [exported, receipts] = [both.exported ?? 0n, both.receipts ?? 0n]
  if (agrees(exported, receipts)) return null
  const [text, model] = [dayText(day), both.model === '' ? '(all)' : both.model]
  const kind =
    both.receipts === null
      ? 'provider_cost_unrecorded'
      : both.exported === null
        ? 'provider_cost_unbilled'
        : 'provider_cost_differs'
  return {
    ...{ kind, severity: 'review', direction: null, repair: null },
    subject: `${sides.provider} ${text} ${modelKey(both.model) || '(all)'}`,
    atStakeMicros: creditsOf(exported - receipts, sides.perUsd),
    evidence: {
      ...{ provider: sides.provider, day: text, model, created_ms: day * DAY_MS },
      export_usd: both.exported === null ? null : usdText(exported),
      receipts_usd: both.receipts === null ? null : usdText(receipts),
      difference_usd: usdText(exported - receipts),
    },
  }
}

/** Provider cost on receipts ↔ a provider's export, by UTC day and model. Source: design §6. */
export function compareCosts(sides: CostSides, days: readonly number[]): readonly Drift[] {
  return days.flatMap((day) => byModel(sides, day).flatMap((both) => judge(sides, day, both) ?? []))
}
