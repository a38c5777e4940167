import type { BudgetPeriod } from '../../ledger/ledger.ts'

/**
 * The credit state in process: what Redis keeps in hashes, as plain objects. Amounts are plain
 * numbers of micros, times engine time in Unix ms. It can be copied with structuredClone.
 * Source: design §4.
 */
export interface State {
  /** Incarnations whose scripts are known. Emptied with the state. */
  readonly scripts: Set<number>
  readonly accounts: Map<string, Account>
}

/** What a load under way leaves behind, for accounts and keys alike. */
export interface Loading {
  token: { readonly text: string; readonly inc: number; readonly untilMs: number } | null
  lastToken: string | null
  /** Highest version cleared since the token was drawn. */
  seen: number
}

export interface AccountFacts extends Limits {
  readonly inc: number
  available: number
  held: number
  readonly limit: number
  readonly status: 'active' | 'frozen' | 'suspended'
  readonly changeSeq: number
  readonly loadVersion: number
}

export interface Account extends Loading {
  /** null: never loaded. */
  facts: AccountFacts | null
  readonly holds: Map<string, Hold>
  readonly keys: Map<string, Key>
}

export interface Hold {
  readonly state: 'held' | 'settled'
  readonly micros: number
  readonly progress: number
  readonly rev: 0 | 1 | 2
  readonly day: number
  /** Asked for, at most the larger limit of key and account: each gave what it has of them. */
  readonly tokens: number
  readonly reservedAtMs: number
  readonly deadlineMs: number
  readonly keyId: string
  readonly owner: string
  readonly receipt: string
}

export interface Budget {
  readonly limit: number
  readonly period: BudgetPeriod
  startDay: number
  spend: number
  held: number
}

/** A token bucket in units of 1/60000, see bucket.ts. */
export interface Bucket {
  readonly limit: number
  level: number
  atMs: number
}

/** Rates and concurrency: of a key, or of all keys of an account. */
export interface Limits {
  readonly requests: Bucket | null
  readonly tokens: Bucket | null
  readonly concurrency: { readonly limit: number; open: number } | null
}

export interface KeyFacts extends Limits {
  readonly inc: number
  readonly status: 'active' | 'revoked'
  readonly expiresAtMs: number | null
  readonly budget: Budget | null
  readonly periodStartDay: number
  /** The last day that anything was counted in when it was loaded. */
  readonly lastDay: number
  readonly changeSeq: number
  /** 0 = a new period has begun since: nothing posted is in the spend. */
  loadVersion: number
}

export interface Key extends Loading {
  facts: KeyFacts | null
}

export const emptyState = (): State => ({ scripts: new Set(), accounts: new Map() })

const notLoading = (): Loading => ({ token: null, lastToken: null, seen: 0 })

/** The account's place, made where there is none: as a write to a hash makes it. */
export function placeOf(state: State, accountId: string): Account {
  let account = state.accounts.get(accountId)
  if (account === undefined) {
    account = { ...notLoading(), facts: null, holds: new Map(), keys: new Map() }
    state.accounts.set(accountId, account)
  }
  return account
}

export function keyPlaceOf(state: State, accountId: string, keyId: string): Key {
  const { keys } = placeOf(state, accountId)
  let key = keys.get(keyId)
  if (key === undefined) {
    key = { ...notLoading(), facts: null }
    keys.set(keyId, key)
  }
  return key
}

/** An account that is loaded in this incarnation. */
export interface Loaded {
  readonly account: Account
  readonly facts: AccountFacts
}

export function loaded(state: State, accountId: string, inc: number): Loaded | null {
  const account = state.accounts.get(accountId)
  if (account?.facts?.inc !== inc) return null
  return { account, facts: account.facts }
}

/** The key's facts where it is loaded in this incarnation. */
export function loadedKey(account: Account, keyId: string, inc: number): KeyFacts | null {
  const facts = account.keys.get(keyId)?.facts
  return facts?.inc === inc ? facts : null
}

/** Puts a changed hold in the place of the old one. */
export function putHold(account: Account, holdId: string, hold: Hold): void {
  account.holds.set(holdId, hold)
}
