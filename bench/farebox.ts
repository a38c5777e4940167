import { startGateway, type Gateway } from '../test/support/gateway.ts'
import type { Customer } from '../test/support/admin.ts'
import { freshDatabase } from '../test/support/stores.ts'
import { durablePostgres, durableRedis } from './durable.ts'
import type { Program } from './programs.ts'

/** One gateway process with private Redis and Postgres, and a customer who can pay. */
export interface BenchFarebox extends Program {
  readonly gateway: Gateway
  readonly customer: Customer
  /** Its stores, for what is measured beside it. */
  readonly redisUrl: string
  readonly databaseUrl: string
}

export async function startFarebox(
  upstream: string,
  env: Readonly<Record<string, string>> = {},
): Promise<BenchFarebox> {
  const redis = await durableRedis()
  const postgres = await durablePostgres()
  process.env.TEST_DATABASE_URL = postgres.url
  const database = await freshDatabase()
  const gateway = await startGateway({
    databaseUrl: database.url,
    redisUrl: redis.url,
    config: {
      durability: 'posted',
      upstreams: {
        openai: {
          protocol: 'openai',
          base_url: upstream,
          api_key: 'sk-bench',
          catalogue: 'openai',
        },
        gemini: {
          protocol: 'gemini',
          base_url: upstream,
          api_key: 'bench',
          catalogue: 'google',
        },
        api: { protocol: 'http', base_url: upstream },
      },
      prices: [{ upstream: 'api', per_request_usd: '0.0001' }],
    },
    env: { LOG_LEVEL: 'warn', ...env },
  })
  const customer = await gateway.admin.customer('1000000')
  return {
    name: 'Farebox, metered and posted',
    url: gateway.url,
    pid: gateway.pid,
    gateway,
    customer,
    redisUrl: redis.url,
    databaseUrl: database.url,
    async stop() {
      await gateway.end()
      await redis.stop()
      await postgres.stop()
    },
  }
}
