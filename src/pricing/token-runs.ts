import { BYTES_PER_TOKEN, TOKENIZER_RUN_CHARS_MAX } from '../kernel/limits/models.ts'

/** Tokens that text of so many UTF-8 bytes (or characters, where that is all one knows) may be. */
export const estimateTokens = (bytesOrChars: number): number =>
  Math.ceil(bytesOrChars / BYTES_PER_TOKEN)

const isLetter = (char: string | undefined): boolean => char !== undefined && /^\p{L}$/u.test(char)

/** Marks that no vocabulary's pre-tokenizer joins with a letter before them. */
const SEPARATORS = new Set([' ', ',', ';', '.', '，', '。', '、'])

/**
 * Whether cutting before `at` leaves every token as it is: letter | separator, letter. All of
 * tiktoken's patterns end a word at such a separator and start the next one with it or after it.
 */
const isSeam = (text: string, at: number): boolean =>
  SEPARATORS.has(text[at] ?? '') && isLetter(text[at - 1]) && isLetter(text[at + 1])

const isLowSurrogate = (code: number): boolean => code >= 0xdc00 && code <= 0xdfff
const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdbff

const splitsPair = (text: string, at: number): boolean =>
  isLowSurrogate(text.charCodeAt(at)) && isHighSurrogate(text.charCodeAt(at - 1))

/**
 * Where the run that starts at `from` ends: at the last seam within `charsMax`, else after
 * `charsMax` characters, never inside a surrogate pair. Text with words and spaces is cut at seams
 * only, so its count is exact; a long run without any costs at most a token or two a cut.
 */
export function runEnd(text: string, from: number, charsMax = TOKENIZER_RUN_CHARS_MAX): number {
  const hard = from + charsMax
  if (hard >= text.length) return text.length
  for (let at = hard; at > from; at--) if (isSeam(text, at)) return at
  return splitsPair(text, hard) ? hard - 1 : hard
}
