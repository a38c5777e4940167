/** What Postgres takes for text: it refuses NUL and half surrogates. */
export const toText = (text: string): string => text.replaceAll('\0', '\u{fffd}').toWellFormed()

/** Whether a text can be a name: well-formed, and without control characters. */
export const isPlain = (text: string): boolean => text.isWellFormed() && !/\p{Cc}/u.test(text)

const PRINTABLE_ASCII = /^[\x20-\x7e]*$/

/** A name that somebody else chose, as it may be kept: cleaned, and cut to `charsMax`. */
export function nameText(name: string, charsMax: number): string {
  const cut = name.slice(0, charsMax)
  return PRINTABLE_ASCII.test(cut) ? cut : toText(cut.replace(/\p{Cc}/gu, '\u{fffd}'))
}
