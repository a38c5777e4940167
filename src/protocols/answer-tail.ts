import { isObject, parseJson, type JsonObject } from './json.ts'

const USAGE = '"usage"'
/** Members that say more of the cost; providers write them before the usage. */
const BEFORE = ['"tool_usage"', '"service_tier"']
/** Places looked at: names a client chose may hold the word too, but only a few times. */
const CANDIDATES_MAX = 16

/** What an object says from the last place on at which its member `name` can begin before `end`. */
function restFrom(
  text: string,
  name: string,
  end: number,
  read: (rest: string) => JsonObject | null,
): { readonly at: number; readonly rest: JsonObject } | null {
  let at = end
  for (let tries = 0; tries < CANDIDATES_MAX && at > 0; tries += 1) {
    at = text.lastIndexOf(name, at - 1)
    if (at < 0) return null
    const rest = read(text.slice(at))
    if (rest !== null) return { at, rest }
  }
  return null
}

/**
 * What a JSON object says of its cost, read from its last bytes; null = they do not show its
 * `usage`. What is behind that member must parse as the rest of one object, so nothing nested in
 * it, or quoted in it, is taken for it. `inside` = it is that member of another object.
 */
export function usageTail(tail: Buffer, inside: string | null = null): JsonObject | null {
  const text = tail.toString('utf8').trimEnd()
  const read = (rest: string): JsonObject | null => {
    const whole = parseJson(inside === null ? `{${rest}` : `{"${inside}":{${rest}`)
    const object = inside !== null && isObject(whole) ? whole[inside] : whole
    return isObject(object) && isObject(object.usage) ? object : null
  }
  const found = restFrom(text, USAGE, text.length, read)
  if (found === null) return null
  let { rest } = found
  for (const name of BEFORE) rest = restFrom(text, name, found.at, read)?.rest ?? rest
  return rest
}
