import { arrayOr } from './json.ts'
import type { FieldReader } from './request-fields.ts'

/** Text or tokens that an endpoint takes as one item or as many. */
export interface Prompt {
  /** Items in it: each is answered on its own. */
  readonly items: number
  readonly texts: readonly string[]
  /** Tokens that came as numbers. */
  readonly tokens: number
}

const isTokens = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.every((token) => Number.isSafeInteger(token) && token >= 0)

/**
 * Reads a field that is a string, an array of strings, an array of tokens or an array of such
 * arrays; `empty` stands for an absent one, null = it is required. Linear in the field.
 */
export function readPrompt(fields: FieldReader, name: string, empty: string | null): Prompt {
  const value = fields.value(name) ?? empty
  if (typeof value === 'string') return { items: 1, texts: [value], tokens: 0 }
  const wrong = `'${name}' must be a string, an array of strings, or tokens.`
  const list = arrayOr(value)
  if (list.length === 0) {
    fields.fail(wrong)
    return { items: 1, texts: [], tokens: 0 }
  }
  if (isTokens(list)) return { items: 1, texts: [], tokens: list.length }
  const texts: string[] = []
  let tokens = 0
  for (const item of list) {
    if (typeof item === 'string') texts.push(item)
    else if (isTokens(item)) tokens += item.length
    else {
      fields.fail(wrong)
      break
    }
  }
  return { items: list.length, texts, tokens }
}
