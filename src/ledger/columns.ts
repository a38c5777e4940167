/**
 * Columns of many rows as Postgres reads arrays in text. One text a column costs both sides a
 * fraction of JSON objects that repeat every name.
 */

const NEEDS_ESCAPE = /["\\]/
const ESCAPED = /["\\]/g

function quoted(text: string | null): string {
  if (text === null) return 'NULL'
  return NEEDS_ESCAPE.test(text) ? `"${text.replace(ESCAPED, '\\$&')}"` : `"${text}"`
}

/** An array of any texts. */
export function textColumn<T>(rows: readonly T[], read: (row: T) => string | null): string {
  let column = '{'
  for (const row of rows) column += (column === '{' ? '' : ',') + quoted(read(row))
  return `${column}}`
}

/** An array of values whose text needs no quotes: numbers, booleans, uuids, times. */
export function plainColumn<T>(
  rows: readonly T[],
  read: (row: T) => string | number | boolean | null,
): string {
  let column = '{'
  for (const row of rows) column += (column === '{' ? '' : ',') + String(read(row) ?? 'NULL')
  return `${column}}`
}
