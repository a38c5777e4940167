import { refuse, type Refusal } from '../kernel/errors.ts'
import { OTHER_MODELS_MAX } from '../kernel/limits-models.ts'
import { MODEL_CHARS_MAX } from '../kernel/limits.ts'
import { isPlain } from '../kernel/text.ts'
import { isObject, type JsonObject } from './json.ts'

/**
 * Reads typed fields of a body; null and absent are the same. The first field of a wrong type is
 * kept as the refusal, and reading goes on, so that a reader is a plain list of fields.
 */
export interface FieldReader {
  boolean(name: string): boolean
  text(name: string): string | null
  object(name: string): JsonObject | null
  array(name: string): readonly unknown[] | null
  /** A whole number within [least, most]. JSON's 1e309 is not one. */
  integer(name: string, least: number, most?: number): number | null
  model(): string
  /** Models that a list called `name` has beside it, each once; null and absent name none. */
  otherModels(name: string, listed: readonly unknown[]): readonly string[]
  /** A field of any type; null = absent. */
  value(name: string): unknown
  fail(message: string): void
  readonly refusal: Refusal | null
}

export function makeFieldReader(body: JsonObject): FieldReader {
  let refusal: Refusal | null = null
  const fail = (message: string): void => {
    refusal ??= refuse('invalid_request', message)
  }
  const present = (name: string): unknown => body[name] ?? null
  const modelIn = (name: string, value: unknown): string => {
    if (typeof value !== 'string' || value === '') fail(`'${name}' must be a non-empty string.`)
    else if (value.length > MODEL_CHARS_MAX) fail(`'${name}' is longer than any model's name.`)
    else if (!isPlain(value)) fail(`'${name}' has characters that no model's name has.`)
    return typeof value === 'string' ? value : ''
  }
  return {
    fail,
    value: present,
    boolean(name) {
      const value = present(name)
      if (value !== null && typeof value !== 'boolean') fail(`'${name}' must be true or false.`)
      return value === true
    },
    text(name) {
      const value = present(name)
      if (value !== null && typeof value !== 'string') fail(`'${name}' must be a string.`)
      return typeof value === 'string' ? value : null
    },
    object(name) {
      const value = present(name)
      if (value !== null && !isObject(value)) fail(`'${name}' must be an object.`)
      return isObject(value) ? value : null
    },
    array(name) {
      const value = present(name)
      if (value !== null && !Array.isArray(value)) fail(`'${name}' must be an array.`)
      return Array.isArray(value) ? value : null
    },
    integer(name, least, most = Number.MAX_SAFE_INTEGER) {
      const value = present(name)
      if (value === null) return null
      const fits = typeof value === 'number' && Number.isSafeInteger(value)
      if (fits && value >= least && value <= most) return value
      const range = most === Number.MAX_SAFE_INTEGER ? `at least ${least}` : `${least} to ${most}`
      fail(`'${name}' must be a whole number, ${range}.`)
      return null
    },
    model: () => modelIn('model', present('model')),
    otherModels(name, listed) {
      if (listed.length > OTHER_MODELS_MAX) {
        fail(`'${name}' has more than ${OTHER_MODELS_MAX} models.`)
        return []
      }
      const named = listed.map((value, index) => modelIn(`${name}[${index}]`, value))
      return [...new Set(named)]
    },
    get refusal() {
      return refusal
    },
  }
}
