/** What parts whole units from their fractions; the other of the two groups thousands. */
export type Decimal = '.' | ','

const bare = (text: string): string => text.replaceAll(/[^\d.,-]/g, '')

/** What an amount by itself says of its decimal mark; null = it could be read either way. */
function toldBy(text: string): Decimal | null {
  const digits = bare(text)
  const marks = digits.replaceAll(/[^.,]/g, '')
  const last = marks.at(-1)
  if (last !== '.' && last !== ',') return null
  const other = last === '.' ? ',' : '.'
  // "1.000,50": the last of two marks. "1.000.000": what repeats groups.
  if (marks.includes(other)) return last
  if (marks.length > 1) return other
  // "12,50" and "0,005" are fractions; "1.000" may be a thousand.
  const [whole = '', rest = ''] = digits.replace('-', '').split(last)
  return rest.length !== 3 || whole.length > 3 || /^0?$/.test(whole) ? last : null
}

/**
 * The decimal mark of a file: that of amounts in its head that can be read in one way only, else
 * that of its separator: a comma cannot be both. `sure`: an amount that told it; null = none.
 */
export function decimalOf(
  amounts: readonly string[],
  separator: string,
): { readonly decimal: Decimal; readonly sure: string | null } {
  const told = amounts.map((text) => [toldBy(text), text] as const)
  const [dot, comma] = [told.find(([by]) => by === '.'), told.find(([by]) => by === ',')]
  const ofSeparator: Decimal = separator === ';' ? ',' : '.'
  if ((dot === undefined) === (comma === undefined)) return { decimal: ofSeparator, sure: null }
  return dot === undefined
    ? { decimal: ',', sure: comma?.[1] ?? null }
    : { decimal: '.', sure: dot[1] }
}

/** Where the fraction begins; the length of the text = there is none. null = it is no amount. */
function pointOf(digits: string, decimal: Decimal): number | null {
  const marks = digits.replaceAll(/[^.,]/g, '')
  if (marks === '') return digits.length
  // One that can be read in one way only is read so, whatever the rest of the file says.
  const mark = toldBy(digits) ?? decimal
  const at = digits.lastIndexOf(mark)
  const isGrouped = digits.slice(at === -1 ? 0 : at + 1).includes(mark === '.' ? ',' : '.')
  if (at !== -1) return isGrouped || digits.indexOf(mark) !== at ? null : at
  return /^-?\d{1,3}(?:[.,]\d{2,3})*[.,]\d{3}$/.test(digits) ? digits.length : null
}

/** Micro-units of a currency: 20.00 is 20 000 000. Exact; null = not an amount. */
export function readAmount(text: string, decimal: Decimal): number | null {
  const digits = bare(text)
  if (!/^-?[.,\d]*\d[.,\d]*$/.test(digits)) return null
  const point = pointOf(digits, decimal)
  if (point === null) return null
  const part = digits.slice(point + 1)
  const sign = digits.startsWith('-') ? -1 : 1
  const whole = digits.slice(0, point).replaceAll(/\D/g, '')
  const micros = Number(whole + part.slice(0, 6).padEnd(6, '0'))
  return Number.isSafeInteger(micros) ? sign * micros : null
}
