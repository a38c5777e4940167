import { createHash } from 'node:crypto'
import { METER_VALUE_MAX } from '../kernel/limits/meters.ts'
import { subMicros, ZERO, type Micros } from '../kernel/money.ts'

export const REPORT_STATES = [
  ...(['ready', 'sent', 'nothing', 'refused', 'late', 'unclear', 'replaced'] as const),
] as const
export type ReportState = (typeof REPORT_STATES)[number]

/** Where a report belongs: together with rev and part it is one event, for good. */
export interface Series {
  readonly accountId: string
  readonly customerId: string
  readonly meter: string
  readonly eventName: string
  readonly dimensions: string
}

/** One event to be sealed. */
export interface NewReport extends Series {
  readonly identifier: string
  readonly slotMs: number
  readonly rev: number
  readonly part: number
  readonly kind: 'usage' | 'cancel'
  readonly cancels: string | null
  /** Whole units. */
  readonly value: number
  readonly overageMicros: Micros
  readonly atMs: number
}

/** What a slot's usage came to since it was last sealed. */
export interface Slot {
  readonly slotMs: number
  readonly atMs: number
  /** Whole units, signed. */
  readonly value: bigint
  readonly overageMicros: Micros
}

/** An event of the slot that Stripe would still cancel. */
export interface Cancelable {
  readonly id: string
  readonly value: number
  readonly overageMicros: Micros
}

const UNIT = 1_000_000n

const floorDivide = (amount: bigint): bigint => {
  const whole = amount / UNIT
  return amount < 0n && whole * UNIT !== amount ? whole - 1n : whole
}

/** The whole units that a series gains when it goes from `before` to `after` millionths. */
export const wholeUnits = (before: bigint, after: bigint): bigint =>
  floorDivide(after) - floorDivide(before)

/** The same report has the same name in every process and after every crash; ≤ 100 characters. */
export function identifierOf(
  series: Series,
  slotMs: number,
  { rev, part }: { readonly rev: number; readonly part: number },
): string {
  const { accountId, customerId, meter, eventName, dimensions } = series
  const name = [accountId, customerId, meter, eventName, dimensions, slotMs, rev, part]
  return `farebox_${createHash('sha256').update(JSON.stringify(name)).digest('hex').slice(0, 48)}`
}

/** In parts that Stripe takes, none of them zero. */
function partsOf(value: bigint): number[] {
  const most = BigInt(METER_VALUE_MAX)
  const parts: number[] = []
  let left = value
  while (left !== 0n) {
    const part = left > most ? most : left < -most ? -most : left
    parts.push(Number(part))
    left -= part
  }
  return parts.length === 0 ? [0] : parts
}

function usageOf(series: Series, slot: Slot, rev: number): NewReport[] {
  return partsOf(slot.value).map((value, part) => ({
    ...series,
    identifier: identifierOf(series, slot.slotMs, { rev, part }),
    slotMs: slot.slotMs,
    atMs: slot.atMs,
    rev,
    part,
    kind: 'usage',
    cancels: null,
    value,
    overageMicros: part === 0 ? slot.overageMicros : ZERO,
  }))
}

/**
 * What Stripe is to be told of a slot: its usage; where there is less of it than was told, the
 * event is cancelled and told anew while Stripe does that, and afterwards lowered by another one.
 */
export function planSlot(
  series: Series,
  slot: Slot,
  last: { readonly rev: number; readonly cancelable: Cancelable | null },
): NewReport[] {
  const rev = last.rev + 1
  const { cancelable } = last
  const left = cancelable === null ? -1n : BigInt(cancelable.value) + slot.value
  if (slot.value >= 0n || cancelable === null || left < 0n) return usageOf(series, slot, rev)
  const { slotMs, atMs } = slot
  const back = subMicros(ZERO, cancelable.overageMicros)
  const total = subMicros(slot.overageMicros, back)
  const cancel: NewReport = {
    ...{ ...series, identifier: identifierOf(series, slotMs, { rev, part: 0 }), slotMs, atMs },
    ...{ rev, part: 0, kind: 'cancel', cancels: cancelable.id, value: -cancelable.value },
    overageMicros: back,
  }
  if (left === 0n && total === 0) return [cancel]
  return [cancel, ...usageOf(series, { ...slot, value: left, overageMicros: total }, rev + 1)]
}
