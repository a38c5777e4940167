import { refuse, type Refusal } from '../kernel/errors.ts'
import { MODEL_CHARS_MAX, OTHER_MODELS_MAX } from '../kernel/limits/models.ts'
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

export const makeFieldReader = (body: JsonObject): FieldReader => new Fields(body)

/** A class: a reader is made for every request, and closures would be made with it. */
class Fields implements FieldReader {
  readonly #body: JsonObject
  #refusal: Refusal | null = null

  constructor(body: JsonObject) {
    this.#body = body
  }

  get refusal(): Refusal | null {
    return this.#refusal
  }

  fail(message: string): void {
    this.#refusal ??= refuse('invalid_request', message)
  }

  value(name: string): unknown {
    return this.#body[name] ?? null
  }

  boolean(name: string): boolean {
    const value = this.value(name)
    if (value !== null && typeof value !== 'boolean') this.fail(`'${name}' must be true or false.`)
    return value === true
  }

  text(name: string): string | null {
    const value = this.value(name)
    if (value !== null && typeof value !== 'string') this.fail(`'${name}' must be a string.`)
    return typeof value === 'string' ? value : null
  }

  object(name: string): JsonObject | null {
    const value = this.value(name)
    if (value !== null && !isObject(value)) this.fail(`'${name}' must be an object.`)
    return isObject(value) ? value : null
  }

  array(name: string): readonly unknown[] | null {
    const value = this.value(name)
    if (value !== null && !Array.isArray(value)) this.fail(`'${name}' must be an array.`)
    return Array.isArray(value) ? value : null
  }

  integer(name: string, least: number, most = Number.MAX_SAFE_INTEGER): number | null {
    const value = this.value(name)
    if (value === null) return null
    const fits = typeof value === 'number' && Number.isSafeInteger(value)
    if (fits && value >= least && value <= most) return value
    const range = most === Number.MAX_SAFE_INTEGER ? `at least ${least}` : `${least} to ${most}`
    this.fail(`'${name}' must be a whole number, ${range}.`)
    return null
  }

  model(): string {
    return this.#modelIn('model', this.value('model'))
  }

  otherModels(name: string, listed: readonly unknown[]): readonly string[] {
    if (listed.length > OTHER_MODELS_MAX) {
      this.fail(`'${name}' has more than ${OTHER_MODELS_MAX} models.`)
      return []
    }
    const named = listed.map((value, index) => this.#modelIn(`${name}[${index}]`, value))
    return [...new Set(named)]
  }

  #modelIn(name: string, value: unknown): string {
    if (typeof value !== 'string' || value === '') {
      this.fail(`'${name}' must be a non-empty string.`)
      return ''
    }
    if (value.length > MODEL_CHARS_MAX) this.fail(`'${name}' is longer than any model's name.`)
    else if (!isPlain(value)) this.fail(`'${name}' has characters that no model's name has.`)
    return value
  }
}
