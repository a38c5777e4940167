import { isObj, type Json, type Obj } from './json.ts'

/** Deeper than any of Stripe's parameters; guards the recursion. */
const DEPTH_MAX = 20

/** `a[b][0]=c` as Stripe reads it: numbered or empty brackets make an array. */
export function parseForm(source: string): Obj {
  const root: Obj = Object.create(null) as Obj
  for (const [name, value] of new URLSearchParams(source)) {
    const [first = '', ...rest] = name.split('[')
    const keys = [first, ...rest.map((part) => part.replace(/\]$/, ''))].slice(0, DEPTH_MAX)
    put(root, keys, value)
  }
  return tidy(root)
}

function put(into: Obj, keys: readonly string[], value: string): void {
  const [head = '', ...rest] = keys
  const key = head === '' ? String(Object.keys(into).length) : head
  if (rest.length === 0) {
    into[key] = value
    return
  }
  const below = into[key]
  const next: Obj = isObj(below) ? below : (Object.create(null) as Obj)
  into[key] = next
  put(next, rest, value)
}

/** Objects whose keys are all numbers become arrays, in the order of the numbers. */
function tidy(source: Obj): Obj {
  const done: Obj = {}
  for (const [key, value] of Object.entries(source)) {
    if (key !== '__proto__') done[key] = isObj(value) ? settle(value) : value
  }
  return done
}

function settle(value: Obj): Json {
  const keys = Object.keys(value)
  const inner = tidy(value)
  if (keys.length === 0 || !keys.every((key) => /^\d{1,4}$/.test(key))) return inner
  return keys.sort((a, b) => Number(a) - Number(b)).map((key) => inner[key] ?? null)
}
