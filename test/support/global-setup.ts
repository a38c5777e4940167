import { fileURLToPath } from 'node:url'
import { startPostgres, startRedis } from './servers.ts'
import { adminUrl, createTemplate, dropAll } from './stores.ts'

/** Once per run: servers where none were given, and the template database. */
export default async function setup(): Promise<() => Promise<void>> {
  const stops: (() => Promise<void>)[] = []
  // Half of what a gateway takes to start is compiling the same files again.
  process.env.NODE_COMPILE_CACHE ??= fileURLToPath(
    new URL('../../node_modules/.cache/compile', import.meta.url),
  )
  if (process.env.TEST_DATABASE_URL === undefined) {
    const postgres = await startPostgres()
    process.env.TEST_DATABASE_URL = postgres.url
    stops.push(() => postgres.stop())
  }
  if (process.env.TEST_REDIS_URL === undefined) {
    const redis = await startRedis()
    process.env.TEST_REDIS_URL = redis.url
    stops.push(() => redis.stop())
  }
  const server = adminUrl()
  const template = await createTemplate(server)
  process.env.TEST_TEMPLATE_DATABASE = template.name
  stops.unshift(() => dropAll(server, template.name))
  return async () => {
    for (const stop of stops) await stop()
  }
}
