import { isObj, text, type Json, type Obj } from './json.ts'
import type { World } from './world.ts'
import { invalid } from './faults.ts'

/** Deepest `expand` Stripe follows. */
const LEVELS_MAX = 4

/** Fields that are only there when asked for: `<object>.<field>` → its value. */
export type Includes = ReadonlyMap<string, (owner: Obj) => Json>

/** A copy of `answer` with the paths in `paths` expanded. Throws 400 for what cannot be. */
export function expand(
  world: World,
  includes: Includes,
  answer: Obj,
  paths: readonly string[],
): Obj {
  const copy = structuredClone(answer)
  for (const path of paths) {
    const keys = path.split('.')
    if (keys.filter((key) => key !== 'data').length > LEVELS_MAX) {
      throw invalid(`You cannot expand more than 4 levels of a property. Property: ${path}`)
    }
    follow(world, includes, copy, keys, path)
  }
  return copy
}

function follow(
  world: World,
  includes: Includes,
  owner: Obj,
  keys: readonly string[],
  path: string,
): void {
  const [key = '', ...rest] = keys
  if (key === '') return
  if (owner[key] === undefined) {
    const include = includes.get(`${text(owner, 'object')}.${key}`)
    if (include === undefined) {
      throw invalid(`This property cannot be expanded (${path}).`, 'expand')
    }
    owner[key] = structuredClone(include(owner))
  }
  owner[key] = expanded(world, owner[key] ?? null)
  for (const below of [owner[key]].flat()) {
    if (isObj(below) && rest.length > 0) follow(world, includes, below, rest, path)
  }
}

function expanded(world: World, value: Json): Json {
  if (Array.isArray(value)) return value.map((part) => expanded(world, part))
  if (typeof value !== 'string') return value
  return structuredClone(world.find(value) ?? value)
}
