import { AUDIT_EXAMPLES_MAX, AUDIT_POOL_MAX } from '../../kernel/limits/books.ts'

/** What was odd about the rows of a file: counted, with a few examples. Bounded memory. */
export interface Oddities {
  note(what: string, example: string): void
  /** "3 rows without a status (line 4, 9, 12)". */
  lines(): readonly string[]
}

export function makeOddities(): Oddities {
  const seen = new Map<string, { count: number; readonly examples: Set<string> }>()
  return {
    note(what, example) {
      const found = seen.get(what)
      if (found === undefined) {
        seen.set(what, { count: 1, examples: new Set([example]) })
        return
      }
      found.count += 1
      if (found.examples.size < AUDIT_EXAMPLES_MAX) found.examples.add(example)
    },
    lines: () =>
      [...seen].map(([what, { count, examples }]) => {
        const named = [...examples].join(', ')
        return `${count} ${what} (${named}${examples.size < count ? ', …' : ''})`
      }),
  }
}

/** A cell too many is mostly a comma that nobody quoted: what comes after it is read as another. */
export function noteLong(
  row: readonly string[],
  heading: readonly string[],
  at: number,
  oddities: Oddities,
): void {
  const isLong = row.length > heading.length && row.slice(heading.length).some((one) => one !== '')
  if (isLong) oddities.note('rows with more cells than the heading', `row ${at}`)
}

/** One object for each key: an export repeats its plans and prices in every row. */
export function makePool<Value>(): (key: string, value: Value) => Value {
  const pool = new Map<string, Value>()
  return (key, value) => {
    const found = pool.get(key)
    if (found !== undefined) return found
    if (pool.size < AUDIT_POOL_MAX) pool.set(key, value)
    return value
  }
}
