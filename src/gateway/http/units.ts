/** Where an API says how much it did: a number in its JSON answer, or a response header. */
export type UnitsSource =
  | { readonly kind: 'json'; readonly path: JsonPath }
  | { readonly kind: 'header'; readonly name: string }

export type JsonPath = readonly (string | number)[]

const STEP = /^(?:\.?([A-Za-z_][\w-]*)|\[(\d{1,6})\]|\["([^"\\]{1,128})"\])/
const STEPS_MAX = 16

/** Reads `usage.total`, `$.items[0].cost`, `["a.b"].c`. null = not such a path. */
export function parseJsonPath(text: string): JsonPath | null {
  const steps: (string | number)[] = []
  let rest = text.replace(/^\$(?=[.[])/, '')
  while (rest !== '') {
    const step = STEP.exec(rest)
    if (step === null || steps.length === STEPS_MAX) return null
    const [matched, name, index, quoted] = step
    if (steps.length > 0 && name !== undefined && !matched.startsWith('.')) return null
    steps.push(index === undefined ? (name ?? quoted ?? '') : Number(index))
    rest = rest.slice(matched.length)
  }
  return steps.length === 0 ? null : steps
}

function stepInto(value: unknown, step: string | number): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  if (Array.isArray(value)) {
    const items: readonly unknown[] = value
    return typeof step === 'number' ? items[step] : undefined
  }
  const found: unknown = Object.getOwnPropertyDescriptor(value, step)?.value
  return found
}

const PLAIN_NUMBER = /^\d{1,15}(?:\.\d{1,18})?$/

/** A count that can be charged: a number or its decimal text, ≥ 0. null = there is none. */
export function countOf(value: unknown): number | null {
  const text = typeof value === 'string' ? value.trim() : null
  const count = text !== null && PLAIN_NUMBER.test(text) ? Number(text) : value
  if (typeof count !== 'number' || !(count >= 0) || count > Number.MAX_SAFE_INTEGER) return null
  return count
}

/** The number at a path of a JSON text. null = not JSON, nothing there, or not a count. */
export function countAt(text: string, path: JsonPath): number | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  for (const step of path) value = stepInto(value, step)
  return countOf(value)
}
