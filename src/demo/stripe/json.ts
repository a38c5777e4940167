/** What Stripe's objects and parameters are made of. Form values are strings, so reading is lax. */
export type Json = null | boolean | number | string | Json[] | Obj
export interface Obj {
  [key: string]: Json
}

export const isObj = (value: Json | undefined): value is Obj =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const has = (from: Obj, key: string): boolean => from[key] !== undefined

/** '' where absent or no text. */
export function text(from: Obj, key: string): string {
  const value = from[key]
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : ''
}

/** null where absent or empty: Stripe's form encoding says "unset" with an empty string. */
export const textOr = (from: Obj, key: string): string | null => {
  const value = text(from, key)
  return value === '' ? null : value
}

/** The id at `key`, be it an id or an expanded object. */
export function ref(from: Obj, key: string): string | null {
  const value = from[key]
  return isObj(value) ? textOr(value, 'id') : textOr(from, key)
}

export function intOr(from: Obj, key: string): number | null {
  const value = text(from, key)
  const parsed = Number(value)
  return value === '' || !Number.isFinite(parsed) ? null : parsed
}

export const int = (from: Obj, key: string): number => intOr(from, key) ?? 0
export const flag = (from: Obj, key: string): boolean => text(from, key) === 'true'

/** {} where absent. */
export function child(from: Obj, key: string): Obj {
  const value = from[key]
  return isObj(value) ? value : {}
}

/** The objects of an array, or of a list object's `data`. */
export function rows(from: Obj, key: string): Obj[] {
  const value = from[key]
  const listed = isObj(value) ? value.data : value
  return Array.isArray(listed) ? listed.filter(isObj) : []
}

export function texts(from: Obj, key: string): string[] {
  const value = from[key]
  if (typeof value === 'string') return value === '' ? [] : [value]
  return Array.isArray(value) ? value.filter((part) => typeof part === 'string') : []
}

/** The named keys that are there. */
export function pick(from: Obj, keys: readonly string[]): Obj {
  const picked: Obj = {}
  for (const key of keys) {
    const value = from[key]
    if (value !== undefined) picked[key] = value === '' ? null : value
  }
  return picked
}

/** JSON with sorted keys, so that equal values read equal. */
export function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (!isObj(value)) return JSON.stringify(value)
  const parts = Object.keys(value).sort()
  return `{${parts.map((key) => `${key}:${canonical(value[key] ?? null)}`).join(',')}}`
}

/** Metadata as Stripe merges it: an empty value removes the key, an empty whole removes all. */
export function mergeMetadata(old: Obj, input: Obj): Obj {
  if (input.metadata === '') return {}
  const merged: Obj = { ...old }
  for (const [key, value] of Object.entries(child(input, 'metadata'))) {
    if (value === '') Reflect.deleteProperty(merged, key)
    else merged[key] = typeof value === 'string' ? value : JSON.stringify(value)
  }
  return merged
}

/** JSON.parse makes nothing but JSON; this says so to the compiler. */
const isJsonObject = (value: unknown): value is Obj =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What a JSON text says; null where it is no JSON object. */
export function parseObject(source: string): Obj | null {
  try {
    const parsed: unknown = JSON.parse(source)
    return isJsonObject(parsed) ? parsed : null
  } catch {
    return null
  }
}
