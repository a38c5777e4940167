import type { Caller } from './access.ts'

/** What one secret's hash was found to mean, and of which state of its rows. */
export interface CachedCaller {
  readonly caller: Caller
  readonly expiresAtMs: number | null
  readonly keySeq: number
  readonly accountSeq: number
  /** Monotonic ms of the look-up. */
  readonly readAtMs: number
}

/**
 * Callers by the hash of their secret, found again by row. The least recently used is out first, as
 * far as was seen since the cache was half full.
 */
export interface CallerCache {
  get(hash: string): CachedCaller | undefined
  set(hash: string, entry: CachedCaller): void
  /** Drops what was read from another state of a key. */
  keyChanged(keyId: string, changeSeq: number): void
  /** Drops what was read from another state of an account. */
  accountChanged(accountId: string, changeSeq: number): void
  delete(hash: string): void
  readonly ofAccount: (accountId: string) => Caller[]
  readonly size: number
}

export function makeCallerCache(max: number): CallerCache {
  const entries = new Map<string, CachedCaller>()
  const byKey = new Map<string, string>()
  const byAccount = new Map<string, Set<string>>()

  function remove(hash: string): void {
    const entry = entries.get(hash)
    if (entry === undefined) return
    const { keyId, accountId } = entry.caller
    entries.delete(hash)
    if (byKey.get(keyId) === hash) byKey.delete(keyId)
    const siblings = byAccount.get(accountId)
    siblings?.delete(hash)
    if (siblings?.size === 0) byAccount.delete(accountId)
  }

  return {
    get(hash) {
      const entry = entries.get(hash)
      if (entry === undefined) return undefined
      if (entries.size * 2 > max) {
        entries.delete(hash) // set anew: a Map keeps its entries in the order of insertion
        entries.set(hash, entry)
      }
      return entry
    },
    set(hash, entry) {
      const { keyId, accountId } = entry.caller
      remove(byKey.get(keyId) ?? hash)
      remove(hash)
      if (entries.size >= max) remove(entries.keys().next().value ?? hash)
      entries.set(hash, entry)
      byKey.set(keyId, hash)
      const siblings = byAccount.get(accountId) ?? new Set()
      byAccount.set(accountId, siblings.add(hash))
    },
    keyChanged(keyId, changeSeq) {
      const hash = byKey.get(keyId)
      if (hash !== undefined && entries.get(hash)?.keySeq !== changeSeq) remove(hash)
    },
    accountChanged(accountId, changeSeq) {
      for (const hash of [...(byAccount.get(accountId) ?? [])]) {
        if (entries.get(hash)?.accountSeq !== changeSeq) remove(hash)
      }
    },
    delete: remove,
    ofAccount: (accountId) =>
      [...(byAccount.get(accountId) ?? [])].flatMap((hash) => entries.get(hash)?.caller ?? []),
    get size() {
      return entries.size
    },
  }
}
