import { invariant } from '../kernel/invariant.ts'
import { micros, type Micros } from '../kernel/money.ts'
import type { Row } from './db.ts'

/**
 * Columns out of a row, each checked to be what the statement promises. A column that is not is a
 * fault of the program: InvariantError.
 */
export function textOf(row: Row, column: string): string {
  const value = row[column]
  invariant(typeof value === 'string', `column ${column} is not text`)
  return value
}

/** int2, int4, int8 as counts, timestamptz as Unix ms. */
export function numberOf(row: Row, column: string): number {
  const value = row[column]
  invariant(typeof value === 'number', `column ${column} is not a number`)
  return value
}

export function flagOf(row: Row, column: string): boolean {
  const value = row[column]
  invariant(typeof value === 'boolean', `column ${column} is not a boolean`)
  return value
}

export const microsOf = (row: Row, column: string): Micros => micros(numberOf(row, column))

export function bytesOf(row: Row, column: string): Uint8Array {
  const value = row[column]
  invariant(value instanceof Uint8Array, `column ${column} is not bytes`)
  return value
}

/** One of `choices`, as a CHECK of the table guarantees. */
export function choiceOf<const T extends string>(
  row: Row,
  column: string,
  choices: readonly T[],
): T {
  const value = choices.find((choice) => choice === row[column])
  invariant(value !== undefined, `column ${column} is none of ${choices.join(', ')}`)
  return value
}

/** null stays null, everything else is read by `read`. */
export function orNull<T>(
  row: Row,
  column: string,
  read: (row: Row, column: string) => T,
): T | null {
  return row[column] === null ? null : read(row, column)
}
