import { z } from 'zod'
import { loadSql } from '../store/sql.ts'
import { fail, fine, warn } from './advice.ts'
import type { RedisNode } from '../store/redis-nodes.ts'
import type { Advice, DoctorDeps } from './doctor.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['incarnations-of-node'])
const incarnationRows = z.array(z.object({ node: z.string(), number: z.number() }))

/** The lines of INFO, by name. */
function parseInfo(text: string): ReadonlyMap<string, string> {
  const lines = text.split(/\r?\n/).filter((line) => !line.startsWith('#') && line.includes(':'))
  return new Map(
    lines.map((line) => {
      const at = line.indexOf(':')
      return [line.slice(0, at), line.slice(at + 1)]
    }),
  )
}

type Info = ReadonlyMap<string, string>

function checkVersion(info: Info): Advice {
  const valkey = info.get('valkey_version')
  const version = valkey ?? info.get('redis_version') ?? '0'
  const name = valkey === undefined ? `Redis ${version}` : `Valkey ${version}`
  return Number.parseInt(version, 10) >= 7
    ? fine('redis version', name)
    : fail('redis version', name, 'Upgrade to Redis 7 or Valkey.')
}

function checkEviction(info: Info): Advice {
  const policy = info.get('maxmemory_policy') ?? 'unknown'
  if (policy === 'noeviction') return fine('redis eviction', policy)
  const detail = `maxmemory-policy is ${policy}: holds and balances can be evicted`
  return fail('redis eviction', detail, 'CONFIG SET maxmemory-policy noeviction')
}

function checkMemory(info: Info): Advice {
  const [used, max] = [Number(info.get('used_memory') ?? 0), Number(info.get('maxmemory') ?? 0)]
  if (max === 0) return fine('redis memory', `${used} bytes, no limit`)
  const percent = Math.round((used / max) * 100)
  const detail = `${percent} % of maxmemory`
  if (percent < 80) return fine('redis memory', detail)
  return warn('redis memory', detail, 'Raise maxmemory: when it is full new requests get 503.')
}

function checkAof(info: Info): Advice {
  if (info.get('aof_enabled') !== '1') {
    const detail = 'AOF is off: a restart loses holds, and unposted charges during an outage'
    return warn('redis persistence', detail, 'CONFIG SET appendonly yes, appendfsync everysec')
  }
  const status = info.get('aof_last_write_status') ?? 'ok'
  if (status === 'ok') return fine('redis persistence', 'AOF is on')
  return fail('redis persistence', `last AOF write: ${status}`, 'Look at its log and its disk.')
}

function checkRole(info: Info): Advice {
  const role = info.get('role') ?? 'unknown'
  if (role === 'master') return fine('redis role', role)
  return fail('redis role', role, 'Point REDIS_URL at the primary: a replica refuses writes.')
}

/** Leases are told by the clock of the node that has them, asked of any. */
async function checkNodeClocks(nodes: readonly RedisNode[]): Promise<Advice[]> {
  if (nodes.length < 2) return []
  const replies = await Promise.all(nodes.map(({ store }) => store.send('TIME')))
  const seconds = replies.map((reply) => Number(Array.isArray(reply) ? reply[0] : Number.NaN))
  const apart = Math.max(...seconds) - Math.min(...seconds)
  if (apart <= 1) return [fine('redis clocks', `${nodes.length} nodes agree`)]
  const detail = `the nodes' clocks are ${apart} s apart`
  return [fail('redis clocks', detail, 'Run NTP on every node: holds lapse by these clocks.')]
}

async function checkNode({ name, store }: RedisNode): Promise<Advice[]> {
  const reply = await store.send('INFO')
  const info = parseInfo(typeof reply === 'string' ? reply : '')
  const found = [checkVersion, checkEviction, checkMemory, checkAof, checkRole].map((check) =>
    check(info),
  )
  const place = info.get('cluster_enabled') === '1' ? `${name.slice(0, 8)}: ` : ''
  return found.map((advice) => ({ ...advice, detail: `${place}${advice.detail}` }))
}

/** Which scripts this version runs on a node, under which number. Source: design §4. */
async function checkScriptsOn(deps: DoctorDeps, { name, store }: RedisNode): Promise<Advice[]> {
  const { scripts } = deps
  if (scripts === undefined) return []
  const rows = await deps.db.query(sql['incarnations-of-node'], [`${name}:`])
  const found = incarnationRows.parse(rows)
  const own = found.find(({ node }) => node === `${name}:${scripts.digest}`)
  const others = found.length - (own === undefined ? 0 : 1)
  const beside = others === 0 ? '' : `; ${others} other versions have run here`
  const version = `${name.slice(0, 8)}: version ${scripts.digest}`
  if (own === undefined) return [fine('credit scripts', `${version}, not used yet${beside}`)]
  const shas = scripts.shas(own.number)
  const reply = await store.send('SCRIPT', 'EXISTS', ...shas)
  const loaded = Array.isArray(reply) ? reply.filter((one) => Number(one) === 1).length : 0
  const ready = `${loaded} of ${shas.length} loaded`
  const detail = `${version}, incarnation ${own.number}, ${ready}${beside}`
  if (loaded === shas.length) return [fine('credit scripts', detail)]
  const fix = 'Was it restarted? The next request loads them, and all accounts, again.'
  return [warn('credit scripts', detail, fix)]
}

/** Only what INFO tells: managed services refuse CONFIG. Source: design §4. */
export async function checkRedis(deps: DoctorDeps): Promise<Advice[]> {
  if (deps.redis === null) {
    const detail = 'embedded: one process; its open holds end with it'
    return [warn('credit engine', detail, 'Set REDIS_URL to run more than one process.')]
  }
  const nodes = deps.redis.all()
  if (nodes.length === 0) {
    return [fail('redis', 'no node of the cluster answers', 'Look at REDIS_URL and the cluster.')]
  }
  const found = await Promise.all(nodes.map(checkNode))
  return [...found.flat(), ...(await checkNodeClocks(nodes))]
}

/** Which scripts run where. */
export async function checkScripts(deps: DoctorDeps): Promise<Advice[]> {
  const nodes = deps.redis?.all() ?? []
  return (await Promise.all(nodes.map((node) => checkScriptsOn(deps, node)))).flat()
}
