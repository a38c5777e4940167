import { slotOf } from '../../store/redis-slot.ts'

/** Names of the keys of one shard; the braces put them into one slot. Source: design §4. */
export const keysOf = (shard: number) => {
  const tag = `fb:{${String(shard)}}`
  return {
    slot: slotOf(String(shard)),
    account: (accountId: string) => `${tag}:acct:${accountId}`,
    /** A backend key acts for many accounts: its limits count for each of them apart. */
    key: (accountId: string, keyId: string) => `${tag}:key:${keyId} ${accountId}`,
    holds: (accountId: string) => `${tag}:holds:${accountId}`,
    receipts: (accountId: string) => `${tag}:receipts:${accountId}`,
    /** Accounts that may have holds, by the first end of a lease. */
    leases: `${tag}:leases`,
    /** Holds listed by themselves: renewed ones, and all of a release that knows no `leases`. */
    due: `${tag}:due`,
  }
}

export type ShardKeys = ReturnType<typeof keysOf>
