/**
 * Rows as Postgres reads an array of a composite type in text: one text a table costs both sides a
 * fraction of JSON objects that repeat every name, or of an array for each column.
 */
export type Field = string | number | boolean | null

const NEEDS_QUOTES = /[(),"\\]/

/** Within a row `"` and `\` are doubled, within the array each of both has a `\` before it. */
function fieldText(field: Field): string {
  if (field === null) return ''
  if (typeof field !== 'string') return String(field)
  if (field !== '' && !NEEDS_QUOTES.test(field)) return field
  return `\\"${field.replaceAll('\\', '\\\\\\\\').replaceAll('"', '\\"\\"')}\\"`
}

/** An array of rows, each in the order of its type's fields. */
export function recordArray(rows: readonly (readonly Field[])[]): string {
  let text = '{'
  for (const row of rows) {
    text += text === '{' ? '"(' : ',"('
    for (let at = 0; at < row.length; at += 1) {
      text += (at === 0 ? '' : ',') + fieldText(row[at] ?? null)
    }
    text += ')"'
  }
  return `${text}}`
}
