/** What Postgres takes for text: it refuses NUL and half surrogates. */
export const toText = (text: string): string => text.replaceAll('\0', '\u{fffd}').toWellFormed()

/** Whether a text can be a name: well-formed, and without control characters. */
export const isPlain = (text: string): boolean => text.isWellFormed() && !/\p{Cc}/u.test(text)

/** A name that somebody else chose, as it may be kept: cleaned, and cut to `charsMax`. */
export const nameText = (name: string, charsMax: number): string =>
  toText(name.slice(0, charsMax).replace(/\p{Cc}/gu, '\u{fffd}'))
