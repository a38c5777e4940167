import { compileGlob } from '../kernel/glob.ts'
import type { PriceEntry, SellEntry } from './config.ts'

export type OverrideSource = 'admin' | 'config'

/** What an operator wrote, in the order in which it was written. */
export interface Overrides {
  readonly prices: readonly PriceEntry[]
  readonly sell: readonly SellEntry[]
}

export const NO_OVERRIDES: Overrides = { prices: [], sell: [] }

/** One entry with its source, ready to be matched. */
export interface Ranked<Entry> {
  readonly source: OverrideSource
  readonly entry: Entry
  readonly pattern: string
  readonly matches: (upstream: string, model: string) => boolean
}

interface Named {
  readonly upstream?: string | undefined
  readonly model?: string | undefined
}

const literalChars = (glob: string): number => glob.replaceAll('*', '').length

/** [names an upstream, names one model exactly, letters that are not `*`]: more is closer. */
function closeness({ upstream, model = '*' }: Named): readonly [number, number, number] {
  return [upstream === undefined ? 0 : 1, model.includes('*') ? 0 : 1, literalChars(model)]
}

function compareCloseness(a: Named, b: Named): number {
  const [left, right] = [closeness(a), closeness(b)]
  const [upstream, exact, chars] = [0, 1, 2].map((i) => (right[i] ?? 0) - (left[i] ?? 0))
  return [upstream, exact, chars].find((difference) => difference !== 0) ?? 0
}

function ranked<Entry extends Named>(
  source: OverrideSource,
  entries: readonly Entry[],
): Ranked<Entry>[] {
  // Of two alike the later one rules, as a reader of the file expects of a correction below.
  const closestFirst = [...entries].reverse().sort(compareCloseness)
  return closestFirst.map((entry) => {
    const pattern = entry.model ?? '*'
    const matchesModel = compileGlob(pattern)
    return {
      source,
      entry,
      pattern,
      matches: (upstream, model) =>
        (entry.upstream === undefined || entry.upstream === upstream) && matchesModel(model),
    }
  })
}

/**
 * The order in which entries rule: admin before config; then those that name the upstream, then an
 * exact model, then the glob with more letters, then the later one. Source: design §10.
 */
export function rankEntries<Entry extends Named>(
  admin: readonly Entry[],
  config: readonly Entry[],
): readonly Ranked<Entry>[] {
  return [...ranked('admin', admin), ...ranked('config', config)]
}
