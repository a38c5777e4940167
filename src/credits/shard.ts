import { SHARDS } from '../kernel/limits/holds.ts'

/**
 * The shard of an account: FNV-1a (32 bit) over the id's UTF-16 code units, mod 256. Part of every
 * key's name in Redis, so it must never change. Source: design §4.
 */
export function shardOf(accountId: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < accountId.length; at++) {
    hash = Math.imul(hash ^ accountId.charCodeAt(at), 0x01000193)
  }
  return (hash >>> 0) % SHARDS
}
