import { isObject, parseJson, type JsonObject } from './json.ts'

const USAGE = '"usage"'
/** Places looked at: names a client chose may hold the word too, but only a few times. */
const CANDIDATES_MAX = 16

/**
 * What a JSON object says from its top-level `usage` on, read from its last bytes; null = they do
 * not show it. What is behind that member must parse as the rest of one object, so nothing nested
 * in it, or quoted in it, is taken for it.
 */
export function usageTail(tail: Buffer): JsonObject | null {
  const text = tail.toString('utf8').trimEnd()
  let at = text.length
  for (let tries = 0; tries < CANDIDATES_MAX && at > 0; tries += 1) {
    at = text.lastIndexOf(USAGE, at - 1)
    if (at < 0) return null
    const rest = parseJson(`{${text.slice(at)}`)
    if (isObject(rest) && isObject(rest.usage)) return rest
  }
  return null
}
