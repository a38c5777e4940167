import { invariant } from '../kernel/invariant.ts'

/** Reads a column's text. `numeric` stays text, uuid too. Source: store/db.ts. */
export type ColumnParser = (text: string) => unknown

function int8(text: string): number {
  const value = Number(text)
  invariant(Number.isSafeInteger(value), `int8 beyond 2^53−1: ${text}`)
  return value
}

const TIMESTAMP = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,6})?)([+-]\d\d)(?::?(\d\d))?$/

/** Unix ms of "2026-11-21 04:18:26.123+00" (ISO date style, any zone). Microseconds are cut. */
function timestamptz(text: string): number {
  const [, day = '', time = '', hours = '', minutes = '00'] = TIMESTAMP.exec(text) ?? []
  const value = Date.parse(`${day}T${time}${hours}:${minutes}`)
  invariant(!Number.isNaN(value), `not a timestamp of this program: ${text}`)
  return value
}

const json = (text: string): unknown => JSON.parse(text)

/** By type OID: int8, timestamptz, json, jsonb. The drivers' own parsers fit for all others. */
export const columnParsers: ReadonlyMap<number, ColumnParser> = new Map([
  [20, int8],
  [1184, timestamptz],
  [114, json],
  [3802, json],
])
