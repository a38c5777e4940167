import type { Clock } from '../kernel/clock.ts'
import {
  KEY_CACHE_MAX,
  KEY_FRESH_MS,
  UNKNOWN_KEY_CACHE_MAX,
  UNKNOWN_KEY_MS,
} from '../kernel/limits/access.ts'
import { describeError, type Log } from '../kernel/log.ts'
import type { Tx } from '../store/db.ts'
import type { Authenticator, Caller } from './access.ts'
import { makeCallerCache } from './caller-cache.ts'
import { makeChanges } from './changes.ts'
import { makeLookup, type FoundCaller } from './lookup.ts'
import type { Subjects } from './subjects.ts'
import { hashName, isWellFormed, type Mode } from './secrets.ts'

export interface CachingAuthenticator extends Authenticator {
  /**
   * Drops what changed in Postgres; to be called every KEY_POLL_MS, so that a revocation reaches
   * this process within a second. Throws when Postgres is away: what is cached then stays.
   */
  poll(): Promise<void>
  readonly cached: number
  /** Who acts for an account, as this process knows them. For checks. */
  readonly cachedOf: (accountId: string) => readonly Caller[]
}

/** Secrets that were found to open nothing, for a moment each. */
function makeUnknown(clock: Clock) {
  const until = new Map<string, number>()
  return {
    has(hash: string): boolean {
      const deadline = until.get(hash)
      if (deadline === undefined) return false
      if (deadline > clock.monotonicMs()) return true
      until.delete(hash)
      return false
    },
    add(hash: string): void {
      const oldest = until.keys().next().value
      if (until.size >= UNKNOWN_KEY_CACHE_MAX && oldest !== undefined) until.delete(oldest)
      until.set(hash, clock.monotonicMs() + UNKNOWN_KEY_MS)
    },
  }
}

/**
 * Secrets → callers. The cached path hashes once, looks into one map and answers at once.
 * Source: design §2.1, §3 (keys already loaded go on).
 */
export function makeAuthenticator(deps: {
  db: Tx
  clock: Clock
  log: Log
  mode: Mode
  /** Told of every account that may have changed. */
  subjects?: Pick<Subjects, 'accountChanged'>
}): CachingAuthenticator {
  const { clock, log, mode } = deps
  const cache = makeCallerCache(KEY_CACHE_MAX)
  const unknown = makeUnknown(clock)
  const lookup = makeLookup(deps.db)
  const changes = makeChanges(deps.db, clock.now())

  function remember(hash: string, found: FoundCaller | null): Caller | null {
    if (!found?.active || (found.expiresAtMs !== null && found.expiresAtMs <= clock.now())) {
      cache.delete(hash)
      unknown.add(hash)
      return null
    }
    cache.set(hash, { ...found, readAtMs: clock.monotonicMs() })
    return found.caller
  }

  const find = async (hash: string): Promise<Caller | null> => remember(hash, await lookup(hash))

  /** Heals what no `changed_at` told of: rows changed by hand. Failing, it changes nothing. */
  function refresh(hash: string): void {
    find(hash).catch((error: unknown) => {
      log.debug({ error: describeError(error) }, 'a cached key could not be read again')
    })
  }

  return {
    authenticate(secret) {
      if (!isWellFormed(secret, mode)) return null
      const hash = hashName(secret)
      const entry = cache.get(hash)
      if (entry === undefined) return unknown.has(hash) ? null : find(hash)
      if (entry.expiresAtMs !== null && entry.expiresAtMs <= clock.now()) return null
      if (clock.monotonicMs() - entry.readAtMs > KEY_FRESH_MS) {
        cache.set(hash, { ...entry, readAtMs: clock.monotonicMs() })
        refresh(hash)
      }
      return entry.caller
    },
    async poll() {
      const { keys, accounts } = await changes.next(clock.now())
      for (const { id, change_seq } of keys) cache.keyChanged(id, change_seq)
      for (const { id, change_seq } of accounts) {
        cache.accountChanged(id, change_seq)
        deps.subjects?.accountChanged(id, change_seq)
      }
    },
    cachedOf: cache.ofAccount,
    get cached() {
      return cache.size
    },
  }
}
