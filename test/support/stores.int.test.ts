import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import pg from 'pg'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { freshDatabase, redisUrl, runSql, startPostgres, startRedis } from './stores.ts'

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function count(url: string, sql: string): Promise<number> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query<{ n: number }>(sql)
  await client.end()
  return rows[0]?.n ?? Number.NaN
}

test('each fresh database is migrated, empty and its own', async () => {
  const [one, other] = await Promise.all([freshDatabase(), freshDatabase()])
  await runSql(one.url, [
    "INSERT INTO accounts (id, name, changed_at, created_at) VALUES ('a', 'a', now(), now())",
  ])
  expect(await count(one.url, 'SELECT count(*)::int AS n FROM accounts')).toBe(1)
  expect(await count(other.url, 'SELECT count(*)::int AS n FROM accounts')).toBe(0)
  await Promise.all([one.drop(), other.drop()])
  await expect(runSql(one.url, ['SELECT 1'])).rejects.toThrow(/does not exist/)
})

test('the shared redis answers', async () => {
  const redis = new Redis(redisUrl())
  expect(await redis.ping()).toBe('PONG')
  await redis.quit()
})

test('a private redis pauses, is killed, comes back empty and ends', async () => {
  const server = await startRedis()
  const redis = new Redis(server.url, { commandTimeout: 200, retryStrategy: () => 20 })
  redis.on('error', () => undefined)
  await expect.poll(() => redis.set('x', '1').catch(() => null)).toBe('OK')
  server.pause()
  await expect(redis.get('x')).rejects.toThrow(/timed out/)
  server.resume()
  await expect.poll(() => redis.get('x').catch(() => null)).toBe('1')
  const firstPid = server.pid
  await server.kill()
  expect(alive(firstPid)).toBe(false)
  await server.restart()
  await expect.poll(() => redis.exists('x').catch(() => -1)).toBe(0)
  redis.disconnect()
  await server.stop()
  await server.stop()
  expect(alive(server.pid)).toBe(false)
})

test('a private redis with AOF keeps its data over a kill', async () => {
  const server = await startRedis({ appendOnly: true })
  const before = new Redis(server.url)
  await before.set('x', '1')
  before.disconnect()
  await server.restart()
  const after = new Redis(server.url)
  expect(await after.get('x')).toBe('1')
  after.disconnect()
  await server.stop()
})

test('a server that is down leaves no files behind when it is stopped', async () => {
  const server = await startRedis({ appendOnly: true })
  const redis = new Redis(server.url)
  const [, dir = ''] = z.array(z.string()).parse(await redis.config('GET', 'dir'))
  redis.disconnect()
  await server.kill()
  expect(existsSync(dir)).toBe(true)
  await server.stop()
  expect(existsSync(dir)).toBe(false)
})

test('a private postgres keeps committed rows over a crash and ends', async () => {
  const server = await startPostgres()
  await runSql(server.url, ['CREATE TABLE t AS SELECT 1 AS n'])
  await server.restart('QUIT')
  expect(await count(server.url, 'SELECT n FROM t')).toBe(1)
  await server.stop()
  expect(alive(server.pid)).toBe(false)
})

test('a server ends when the process that started it is killed', async () => {
  const module = new URL('servers.ts', import.meta.url).href
  const script = `const { startRedis } = await import('${module}')
    console.log((await startRedis()).pid)
    setInterval(() => undefined, 1000)`
  const starter = spawn(process.execPath, ['--input-type=module', '-e', script])
  const pid = await new Promise<number>((resolve) => {
    starter.stdout.once('data', (line: Buffer) => {
      resolve(Number(line.toString()))
    })
  })
  expect(alive(pid)).toBe(true)
  starter.kill('SIGKILL')
  await expect.poll(() => alive(pid)).toBe(false)
})
