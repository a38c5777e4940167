import { int, text, type Obj } from '../json.ts'
import { DAY_S } from '../world.ts'

const STEPS = { day: DAY_S, week: 7 * DAY_S } as const
const MONTHS: Readonly<Record<string, number>> = { month: 1, year: 12 }

/** `months` after a moment (unix seconds, UTC); the 31st becomes the last of a shorter month. */
export function addMonths(atS: number, months: number): number {
  const from = new Date(atS * 1000)
  const to = new Date(atS * 1000)
  to.setUTCDate(1)
  to.setUTCMonth(to.getUTCMonth() + months)
  const last = new Date(Date.UTC(to.getUTCFullYear(), to.getUTCMonth() + 1, 0)).getUTCDate()
  to.setUTCDate(Math.min(from.getUTCDate(), last))
  return Math.floor(to.getTime() / 1000)
}

/** `times` intervals after the anchor. Always counted from it, so that the 31st comes back. */
function step(anchorS: number, recurring: Obj, times: number): number {
  const interval = text(recurring, 'interval')
  const count = Math.max(1, int(recurring, 'interval_count')) * times
  if (interval === 'day' || interval === 'week') return anchorS + STEPS[interval] * count
  return addMonths(anchorS, (MONTHS[interval] ?? 1) * count)
}

/** The first end of a period after `afterS`. An anchor that lies ahead is such an end itself. */
export function periodEndAfter(anchorS: number, recurring: Obj, afterS: number): number {
  for (let times = 0; ; times += 1) {
    const end = step(anchorS, recurring, times)
    if (end > afterS) return end
  }
}
