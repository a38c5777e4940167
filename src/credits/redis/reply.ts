import { invariant } from '../../kernel/invariant.ts'
import { micros, type Micros } from '../../kernel/money.ts'
import type { Stale } from '../commands.ts'

/** A script's reply, read field by field. Numbers come as integers or as decimal text. */
export interface ReplyReader {
  readonly length: number
  text(at: number): string
  int(at: number): number
  micros(at: number): Micros
}

/** Throws InvariantError where a field is not what the script's header promises. */
export function readReply(reply: unknown): ReplyReader {
  invariant(Array.isArray(reply), 'a script answers with a list')
  const fields: readonly unknown[] = reply
  const text = (at: number): string => {
    const field = fields[at]
    invariant(typeof field === 'string', `field ${at} of a script's reply is text`)
    return field
  }
  const int = (at: number): number => {
    const field = fields[at]
    const number = typeof field === 'string' && field !== '' ? Number(field) : field
    invariant(
      typeof number === 'number' && Number.isSafeInteger(number),
      `field ${at} of a script's reply is a whole number`,
    )
    return number
  }
  return { length: fields.length, text, int, micros: (at) => micros(int(at)) }
}

/** The replies of a group of commands. */
export function readReplies(reply: unknown): readonly unknown[] {
  const replies: unknown = reply
  return Array.isArray(replies) ? replies : []
}

const STATUSES = ['active', 'frozen', 'suspended'] as const
export type AccountStatus = (typeof STATUSES)[number]

/** One of the words that a script may answer with. Throws InvariantError for another one. */
export function oneOf<const Word extends string>(words: readonly Word[], text: string): Word {
  const word = words.find((known) => known === text)
  invariant(word !== undefined, `unknown word in a script's reply: ${text}`)
  return word
}

export const accountStatus = (text: string): AccountStatus => oneOf(STATUSES, text)

export const stale = (reply: ReplyReader): Stale => ({
  kind: 'stale',
  what: oneOf(['account', 'key'], reply.text(1)),
})
