import { createHmac, hash } from 'node:crypto'
import type { Ids } from '../../kernel/ids.ts'

/** 256 bits in base64url. */
const RANDOM = /^[A-Za-z0-9_-]{43}$/
const BYTES = 32

/** What a claim link ends with. Never stored: its hash is. */
export const newToken = (ids: Ids): string => ids.secret(BYTES)

/** Told apart from what no link ever ended with before anything is looked up. */
export const isToken = (text: string): boolean => RANDOM.test(text)

export const hashToken = (token: string): Uint8Array => hash('sha256', token, 'buffer')

/** Names one showing of the claim's page: who presses twice on one page is one who presses. */
export const newPage = (ids: Ids): string => ids.secret(BYTES)
export const isPage = (text: string): boolean => RANDOM.test(text)

/** Who claimed: the link and the page together. */
export const hashPress = (token: string, page: string): Uint8Array =>
  hash('sha256', `${token}.${page}`, 'buffer')

/**
 * The random part of a key's secret, from what only the presser has: the token of the mail and the
 * page of the browser. So a repeated press of one page gives the same secret, although none of the
 * three is stored, and neither the mail nor the database alone gives it.
 */
export const drawSecret = (token: string, page: string, claimId: string): string =>
  createHmac('sha256', token).update(`farebox key ${claimId} ${page}`).digest('base64url')
