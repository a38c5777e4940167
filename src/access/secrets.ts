import { hash } from 'node:crypto'
import type { Ids } from '../kernel/ids.ts'

/** 'live' or 'test': one deployment serves one mode, and its keys say which. Source: design §1. */
export type Mode = 'test' | 'live'
export type KeyKind = 'client' | 'backend'

/** A key as it leaves this program, once. Only `hash` and `prefix` are stored. */
export interface Minted {
  readonly secret: string
  /** The first characters, for lists: tells keys apart, opens nothing. */
  readonly prefix: string
  readonly hash: Uint8Array
}

/** Random bytes of a secret. 256 bits: no guess, no slow hash needed at rest. */
const SECRET_BYTES = 32
/** Characters of the random part that lists may show: 24 of 256 bits. */
const SHOWN_CHARS = 4
const SECRET = /^fbk?_(?:test|live)_[A-Za-z0-9_-]{43}$/
/** "fbk_test_" and 43 characters of base64url. */
const SECRET_CHARS_MAX = 52

const TYPE: Readonly<Record<KeyKind, string>> = { client: 'fb', backend: 'fbk' }

/** Makes a new secret: `fb_live_…` for a client key, `fbk_live_…` for a backend key. */
export const mintSecret = (ids: Ids, kind: KeyKind, mode: Mode): Minted =>
  mintFrom(ids.secret(SECRET_BYTES), kind, mode)

/** The same of randomness that was drawn elsewhere: 32 bytes in base64url. */
export function mintFrom(random: string, kind: KeyKind, mode: Mode): Minted {
  const lead = `${TYPE[kind]}_${mode}_`
  const secret = `${lead}${random}`
  return {
    secret,
    prefix: secret.slice(0, lead.length + SHOWN_CHARS),
    hash: hashSecret(secret),
  }
}

/** True for what could be a key of this mode; everything else is refused before it is hashed. */
export function isWellFormed(secret: string, mode: Mode): boolean {
  if (secret.length > SECRET_CHARS_MAX || !SECRET.test(secret)) return false
  return secret.startsWith(`_${mode}_`, secret.startsWith('fbk') ? 3 : 2)
}

/** What is stored: SHA-256 of the secret. */
export const hashSecret = (secret: string): Uint8Array => hash('sha256', secret, 'buffer')

/** The same as text, as a name in memory. About a microsecond. */
export const hashName = (secret: string): string => hash('sha256', secret, 'hex')
