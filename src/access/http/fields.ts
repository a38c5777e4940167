import { z } from 'zod'
import { formatCredits, micros, parseCredits, type Micros } from '../../kernel/money.ts'
import { PAGE_MAX } from '../../kernel/limits/access.ts'
import { SUBJECT_REF } from '../subject-ref.ts'

/** Fields that many routes share. Amounts come out as Micros, times as Unix ms. */

const CREDITS_MAX = formatCredits(micros(Number.MAX_SAFE_INTEGER))
const IN_WORDS = 'must be credits in quotes with at most six decimals, like "10.5"'
const LIMIT_IN_WORDS = `${IN_WORDS}, or {"micros": 10500000}`
const TOO_MANY = `must be at most ${CREDITS_MAX} credits`

/** Credits as text, or a whole number; a fraction that is not quoted has been through a float. */
export const credits = z
  .union([z.string(), z.number()], { error: IN_WORDS })
  .describe('Credits in quotes, at most six decimals ("10.5"); as a number only whole ones.')
  .transform((value, context): Micros => {
    const parsed = parseCredits(String(value))
    if (parsed !== null && (typeof value === 'string' || Number.isInteger(value))) return parsed
    const isPast = Math.abs(Number(value)) > Number(CREDITS_MAX)
    context.addIssue({ code: 'custom', message: isPast ? TOO_MANY : IN_WORDS })
    return z.NEVER
  })

const wholeMicros = z
  .int({ error: 'must be a whole number of micros (1 credit = 1000000)' })
  .transform(micros)

/** `{credits: "10.5"}`, `{micros: 10500000}`, or both where they agree. Spread into a body. */
export const amountFields = { credits: credits.optional(), micros: wholeMicros.optional() }

interface Amount {
  readonly credits?: Micros | undefined
  readonly micros?: Micros | undefined
}

/** Puts the rule on a body that spreads `amountFields`. */
export function checkAmount(context: {
  readonly value: Amount
  readonly issues: z.core.$ZodRawIssue[]
}): void {
  const { credits: inCredits, micros: inMicros } = context.value
  const problem =
    inCredits === undefined && inMicros === undefined
      ? 'name an amount: credits ("10.5") or micros (10500000)'
      : inCredits !== undefined && inMicros !== undefined && inCredits !== inMicros
        ? 'credits and micros are different amounts; send one of them'
        : null
  if (problem === null) return
  context.issues.push({ code: 'custom', message: problem, input: context.value, path: ['credits'] })
}

/** The amount of a body that passed `checkAmount`. */
export function amountOf(body: Amount): Micros {
  const amount = body.micros ?? body.credits
  if (amount === undefined) throw new Error('unreachable: checkAmount ran')
  return amount
}

/** A limit ≥ 0: `"5"`, `5`, `{credits: "5"}` or `{micros: 5000000}`. */
export const limit = z
  .union([credits, z.strictObject(amountFields).check(checkAmount).transform(amountOf)], {
    error: LIMIT_IN_WORDS,
  })
  .refine((amount) => amount >= 0, { error: 'must not be below zero' })

/** Years that Postgres and JavaScript both write with four digits. */
const EARLIEST_MS = Date.parse('0001-01-01T00:00:00Z')
const LATEST_MS = Date.parse('9999-12-31T23:59:59.999Z')

/** An ISO 8601 day (UTC) or moment with its offset, as Unix ms. */
export const moment = z
  .union([z.iso.datetime({ offset: true }), z.iso.date()], {
    error: 'must be a time like "2027-01-31T00:00:00Z"',
  })
  .transform((text) => Date.parse(text))
  .refine((atMs) => atMs >= EARLIEST_MS && atMs <= LATEST_MS, {
    error: 'must be of the years 1 to 9999',
  })

/** null = everything. An empty list is neither that nor nothing by its looks, so it is refused. */
export const globs = z
  .array(z.string().trim().min(1).max(256))
  .min(1, { error: 'name at least one; null allows all' })
  .max(100)
  .nullable()

export const accountId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/, 'takes 1 to 128 characters of A-Z a-z 0-9 _ . -')

/** Names from the operator's product and from Stripe: any printable text. */
export const reference = z
  .string()
  .min(1)
  .max(255)
  .refine((text) => !/\p{Cc}/u.test(text), { error: 'must not hold control characters' })

/** The name of an end user in the operator's product, as `x-farebox-subject` carries it. */
export const subjectRef = reference.regex(
  SUBJECT_REF,
  'takes printable ASCII characters, no blanks at its ends: a header must carry it',
)

export const text = z.string().trim().min(1).max(500)

export const holdId = z.uuid({ error: 'must be a request id (a UUID)' })

export const idParams = z.object({ id: z.string().min(1).max(128) })

export const pageLimit = z.coerce.number().int().min(1).max(PAGE_MAX).default(50)

/** An amount as every body shows it. Source: design §8. */
export const amountView = z.object({ micros: z.int(), credits: z.string() })

export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({
    data: z.array(item),
    /** Send it as `cursor` for the next page; null = this was the last. */
    next_cursor: z.string().nullable(),
  })

/** One row more than asked for was read: its presence says that there is a next page. */
export function page<Row, View>(
  rows: readonly Row[],
  limitRows: number,
  view: (row: Row) => View,
  cursorOf: (row: Row) => string,
): { data: View[]; next_cursor: string | null } {
  const shown = rows.slice(0, limitRows)
  const last = rows.length > limitRows ? shown.at(-1) : undefined
  return { data: shown.map(view), next_cursor: last === undefined ? null : cursorOf(last) }
}
