import {
  addSums,
  NOTHING,
  type MarginGroup,
  type MarginReport,
  type MarginRow,
  type MarginSums,
} from './margins.ts'

export interface RankedMargins {
  readonly shown: readonly MarginRow[]
  /** Everything else; shown and others add up to the total. */
  readonly others: MarginSums
  readonly total: MarginSums
}

export const marginOf = (sums: MarginSums): bigint => sums.revenuePicoUsd - sums.costPicoUsd

/** Costs more than it brings. */
export const isLosing = (sums: MarginSums): boolean => marginOf(sums) < 0n

const compare = <T extends bigint | string>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0)

const byName = (a: MarginRow, b: MarginRow): number => compare(a.name, b.name)
const worstFirst = (a: MarginRow, b: MarginRow): number =>
  compare(marginOf(a), marginOf(b)) || byName(a, b)
const largestFirst = (a: MarginRow, b: MarginRow): number =>
  compare(b.revenuePicoUsd, a.revenuePicoUsd) ||
  compare(b.costPicoUsd, a.costPicoUsd) ||
  byName(a, b)

/**
 * The rows to show, at most `limit`: days in order, others by revenue; with `losing` only those
 * that cost more than they bring, the worst first.
 */
export function rankMargins(
  { rows, total }: MarginReport,
  options: { readonly by: MarginGroup; readonly losing: boolean; readonly limit: number },
): RankedMargins {
  const { by, losing, limit } = options
  const order = losing ? worstFirst : by === 'day' ? byName : largestFirst
  const candidates = losing ? rows.filter(isLosing) : rows
  const shown = candidates.toSorted(order).slice(0, limit)
  const isShown = new Set(shown)
  const others = rows.filter((row) => !isShown.has(row)).reduce<MarginSums>(addSums, NOTHING)
  return { shown, others, total }
}

/** Margin in hundredths of a percent of the revenue, half away from zero; null = no revenue. */
export function marginPercent(sums: MarginSums): string | null {
  const { revenuePicoUsd: revenue } = sums
  if (revenue <= 0n) return null
  const margin = marginOf(sums)
  const size = margin < 0n ? -margin : margin
  const hundredths = (size * 20_000n + revenue) / (revenue * 2n)
  const digits = String(hundredths).padStart(3, '0')
  const sign = margin < 0n && hundredths > 0n ? '-' : ''
  return `${sign}${digits.slice(0, -2)}.${digits.slice(-2)}`
}
