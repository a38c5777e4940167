import {
  startPostgres,
  startRedis,
  type PostgresServer,
  type RedisServer,
} from '../test/support/stores.ts'

/** Stores as an operator runs them: the tests' own ones skip fsync and the append-only file. */
export const durablePostgres = (): Promise<PostgresServer> =>
  startPostgres(['fsync=on', 'full_page_writes=on'])

export const durableRedis = (): Promise<RedisServer> =>
  startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'everysec'] })
