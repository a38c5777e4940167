import { Redis } from 'ioredis'
import { freePort, startRedis, type RedisServer } from './servers.ts'
import { until } from './until.ts'

/** Three masters, the first of them with a replica. */
export interface RedisCluster {
  /** Of the last master. */
  readonly url: string
  readonly masters: readonly RedisServer[]
  /** kill -9 of the first master; its replica takes its slots over. */
  failOver(): Promise<void>
  stop(): Promise<void>
}

const SLOTS: readonly (readonly [number, number])[] = [
  [0, 5_460],
  [5_461, 10_922],
  [10_923, 16_383],
]

/** A cluster of its own on free ports. */
export async function startRedisCluster(): Promise<RedisCluster> {
  const servers = await Promise.all(
    Array.from({ length: 4 }, async () =>
      startRedis({
        args: [
          ...['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000'],
          ...['--cluster-port', String(await freePort()), '--repl-diskless-sync-delay', '0'],
          // Which node is replaced is the test's business.
          ...['--cluster-replica-no-failover', 'yes'],
        ],
      }),
    ),
  )
  const clients = servers.map(({ url }) => {
    const client = new Redis(url, { maxRetriesPerRequest: null })
    client.on('error', () => undefined)
    return client
  })
  const [first, second, third, replica] = clients
  if (!first || !second || !third || !replica) throw new Error('unreachable')
  const masters = [first, second, third]
  const infoOf = (client: Redis) => client.call('CLUSTER', 'INFO').then(String)
  const portOf = async (client: Redis) =>
    String((await client.config('GET', 'cluster-port')).toString().split(',')[1])

  for (const [at, client] of masters.entries()) {
    const [from, to] = SLOTS[at] ?? [0, 0]
    await client.call('CLUSTER', 'ADDSLOTSRANGE', from, to)
    await client.call('CLUSTER', 'SET-CONFIG-EPOCH', at + 1)
  }
  for (const [at, server] of servers.slice(1).entries()) {
    const bus = await portOf(clients[at + 1] ?? first)
    await first.call('CLUSTER', 'MEET', '127.0.0.1', server.port, bus)
  }
  await until(async () => {
    const infos = await Promise.all(clients.map(infoOf))
    return infos.every((info) => info.includes('cluster_state:ok') && info.includes('nodes:4'))
  })
  await replica.call('CLUSTER', 'REPLICATE', String(await first.call('CLUSTER', 'MYID')))
  await until(async () => (await replica.info('replication')).includes('master_link_status:up'))

  return {
    url: servers[2]?.url ?? '',
    masters: servers.slice(0, 3),
    async failOver() {
      await servers[0]?.kill()
      await replica.call('CLUSTER', 'FAILOVER', 'TAKEOVER')
      await until(async () => (await infoOf(second)).includes('cluster_state:ok'))
    },
    async stop() {
      for (const client of clients) client.disconnect()
      await Promise.all(servers.map((server) => server.stop()))
    },
  }
}
