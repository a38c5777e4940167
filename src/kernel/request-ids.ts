import { hash } from 'node:crypto'
import { sortedJson } from './sorted-json.ts'

/**
 * 64 hex digits for the id of what a request makes: the same for the same request, however late it
 * comes again. Another body under its Idempotency-Key, after the day that the key is kept, is
 * another request. `what` says what is made, and of whom.
 */
export const digitsOf = (what: readonly string[], key: string, body: unknown): string =>
  hash('sha256', sortedJson([...what, key, body]))

/** The same as a UUID (version 8). */
export const uuidOf = (what: readonly string[], key: string, body: unknown): string =>
  digitsOf(what, key, body).replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, '$1-$2-8$3-8$4-$5')
