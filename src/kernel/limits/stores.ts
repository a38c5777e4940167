/** Bounds of Redis and Postgres, each with its reason. */

/** One Redis command. Past it the outcome is unknown. */
export const REDIS_COMMAND_MS_MAX = 1_500
/** Commands that wait for a connection: some tenths of a second of full load. */
export const REDIS_QUEUE_MAX = 20_000
/** Commands in one script call: some ms at most; and where no other key joins: it gains nothing. */
export const REDIS_GROUP_MAX = 128
export const REDIS_SHARED_MAX = 32
/** Commands wait this long at most for the answers to those before them, to travel together. */
export const REDIS_GATHER_MS_MAX = 1
/** A socket with commands under way that stays silent this long is dead. */
export const REDIS_SILENCE_MS_MAX = 5_000
/** Nodes whose scripts' SHAs are kept; more than a cluster of 256 shards has use for. */
export const REDIS_NODES_MAX = 256
/** How old the known places of a Redis cluster's slots may be while nothing goes wrong. */
export const CLUSTER_LOOK_MS = 5_000
/** Between two looks at a cluster while something does. */
export const CLUSTER_LOOK_MS_MIN = 200
/** A free or new Postgres connection; longer means it is away or the pool is too small. */
export const POSTGRES_CONNECT_MS_MAX = 5_000
/** Connections to Postgres of one process: posting needs two, look-ups and the admin API some. */
export const POSTGRES_POOL_MAX = 10
/** One statement of the program. The slowest, a full batch of receipts, takes tens of ms. */
export const STATEMENT_MS_MAX = 10_000
/** How much longer than Postgres the client waits before it gives the connection up. */
export const STATEMENT_GRACE_MS = 2_000
/** A transaction whose process stopped must not keep its locks. */
export const IDLE_IN_TRANSACTION_MS_MAX = 10_000
/** Statement texts kept prepared; the program has fewer, generated ones must not fill Postgres. */
export const PREPARED_MAX = 500
/** One migration. Expand-only changes are quick; an index on a large table is not. */
export const MIGRATION_MS_MAX = 30 * 60_000
/** A migration that waits for a lock blocks all that come after it, so it gives up and repeats. */
export const MIGRATION_LOCK_MS_MAX = 5_000
