const PLACES = 12
const CENT_PICO = 10_000_000_000n

/** How a file writes its decimals; `auto` tells by the text and by the file's separator. */
export type DecimalMark = '.' | ',' | 'auto'

/** What is known of the file that an amount is of. */
export interface AmountFile {
  readonly mark: DecimalMark
  /** What parts its cells. */
  readonly separator: string
  /** The mark of its other amounts, where they can be read in one way only. */
  readonly others?: '.' | ',' | null
}

/** The mark of decimals in a number: the last of both, or the one that groups no thousands. */
function markOf(digits: string, { mark, separator, others = null }: AmountFile): string {
  if (mark !== 'auto') return mark
  // "1.234" and "1,234" can be read in both ways: as the rest of the file is.
  if (others !== null && /^[1-9]\d{0,2}[.,]\d{3}$/.test(digits)) return others
  const [comma, dot] = [digits.lastIndexOf(','), digits.lastIndexOf('.')]
  if (comma !== -1 && dot !== -1) return comma > dot ? ',' : '.'
  if (comma === -1) return digits.indexOf('.') === dot ? '.' : ','
  const isGrouped = /^\d{1,3}(,\d{3})+$/.test(digits)
  // "1,234": where commas part cells, a quoted one groups; elsewhere they are decimals.
  return isGrouped && (separator === ',' || digits.split(',').length > 2) ? '.' : ','
}

/**
 * USD of an export as pico-dollars, exact to their last place: "0.0038359800", "1.2e-05",
 * "$1,234.5", "0,05", "-0.10". null = not an amount.
 */
export function readPico(text: string, file: AmountFile): bigint | null {
  const bare = text.replaceAll(/[\s$_'\u00a0]|usd/gi, '')
  const [, sign = '', digits = '', power = '0'] =
    /^([-+]?)([\d.,]+)(?:e([-+]?\d{1,3}))?$/i.exec(bare) ?? []
  if (digits === '') return null
  const point = markOf(digits, file)
  const plain = digits.replaceAll(point === ',' ? '.' : ',', '').replace(point, '.')
  const [, whole = '', part = ''] = /^(\d*)(?:\.(\d*))?$/.exec(plain) ?? []
  if (whole + part === '' || whole.length + part.length > 60) return null
  const shift = PLACES + Number(power) - part.length
  const units = BigInt(whole + part)
  const pico =
    shift >= 0 ? units * 10n ** BigInt(shift) : halfUp(units, 10n ** BigInt(Math.min(-shift, 200)))
  return sign === '-' ? -pico : pico
}

const halfUp = (units: bigint, by: bigint): bigint => (2n * units + by) / (2n * by)

/** "0.05" for 50 000 000 000. */
export function usdText(pico: bigint): string {
  const digits = String(pico < 0n ? -pico : pico).padStart(PLACES + 1, '0')
  const part = digits.slice(-PLACES).replace(/0{1,10}$/, '')
  return `${pico < 0n ? '-' : ''}${digits.slice(0, -PLACES)}.${part}`
}

const abs = (value: bigint): bigint => (value < 0n ? -value : value)

/** Within 0.5 % of what the provider bills or 1 cent, whichever is larger. Source: design §6. */
export function agrees(exported: bigint, receipts: bigint): boolean {
  const half = abs(exported) / 200n
  return abs(exported - receipts) <= (half > CENT_PICO ? half : CENT_PICO)
}
