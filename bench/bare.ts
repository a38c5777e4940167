import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { Redis } from 'ioredis'
import pg from 'pg'
import { Pool } from 'undici'

/**
 * What any gateway of this shape costs at the least here: the round trips of a request (Redis,
 * upstream, Redis, Postgres, Redis), each as small as it can be, and nothing else. No keys, limits,
 * prices or protocols, and no care for what fails: a measure of the machine, not a gateway.
 */
const [upstream = '', redisUrl = '', databaseUrl = ''] = process.argv.slice(2)
const RESERVE = `if tonumber(redis.call('GET', KEYS[1])) < tonumber(ARGV[2]) then return 0 end
redis.call('DECRBY', KEYS[1], ARGV[2])
return redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])`
const SETTLE = `redis.call('INCRBY', KEYS[1], ARGV[2])
return redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])`
const TABLES = `create schema bare;
create table bare.accounts (id text primary key, balance bigint not null);
create table bare.usage (hold_id text primary key, micros bigint not null, receipt jsonb not null);
insert into bare.accounts values ('a', 1000000000000)`
const POST = `with new as (insert into bare.usage values ($1, $2, $3) returning micros)
update bare.accounts set balance = balance - new.micros from new where id = 'a'`
const KEYS = ['bare:account', 'bare:holds'] as const
const HELD = 100
const CHARGED = 40

const redis = new Redis(redisUrl)
const database = new pg.Pool({ connectionString: databaseUrl })
const agent = new Pool(upstream)
await redis.set(KEYS[0], '1000000000000')
await database.query(TABLES)
const [reserve, settle] = await Promise.all(
  [RESERVE, SETTLE].map(async (script) => String(await redis.script('LOAD', script))),
)

async function answer(body: Buffer): Promise<Buffer> {
  const holdId = randomUUID()
  await redis.evalsha(reserve ?? '', 2, ...KEYS, holdId, HELD)
  const headers = { 'content-type': 'application/json' }
  const path = '/v1/chat/completions'
  const response = await agent.request({ path, method: 'POST', headers, body })
  const bytes = Buffer.from(await response.body.arrayBuffer())
  const { usage } = JSON.parse(bytes.toString()) as { usage: unknown }
  const receipt = JSON.stringify({ holdId, usage })
  await redis.evalsha(settle ?? '', 2, ...KEYS, holdId, HELD - CHARGED, receipt)
  await database.query({ name: 'post', text: POST, values: [holdId, CHARGED, receipt] })
  void redis.hdel(KEYS[1], holdId)
  return bytes
}

const server = createServer((request, response) => {
  const parts: Buffer[] = []
  request.on('data', (part: Buffer) => parts.push(part))
  request.once('end', () => {
    void answer(Buffer.concat(parts)).then((bytes) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(bytes)
    })
  })
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object' && address !== null) console.log(address.port)
})
