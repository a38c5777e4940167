/** A JSON object whose members are not known yet. */
export type JsonObject = Readonly<Record<string, unknown>>

const NOTHING: JsonObject = Object.freeze({})

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const objectOr = (value: unknown): JsonObject => (isObject(value) ? value : NOTHING)

export const arrayOr = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

export const textOr = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' ? value : null

/** A count as providers report them. Missing is null; an explicit zero is a zero. */
export const countOr = (value: unknown): number | null =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null

/** Parses text of a provider as clients do, behind a byte order mark too; null = not JSON. */
export function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text.startsWith('\ufeff') ? text.slice(1) : text)
    return value
  } catch {
    return null
  }
}

const saidIn = (object: JsonObject): [string, unknown][] =>
  Object.entries(object).filter(([, value]) => value !== null)

/**
 * `newer` over `older`, where null means "not said"; their details, which are objects, likewise.
 * Source: providers.md §1, merge rule.
 */
export function mergeSaid(older: JsonObject | null, newer: JsonObject): JsonObject {
  if (older === null) return newer // most answers say it once
  const said = saidIn(newer).map(([name, value]) => {
    const before = older[name]
    if (!isObject(before) || !isObject(value)) return [name, value] as const
    return [name, { ...before, ...Object.fromEntries(saidIn(value)) }] as const
  })
  return { ...older, ...Object.fromEntries(said) }
}
