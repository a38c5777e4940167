import { startFarebox, type BenchFarebox } from './farebox.ts'
import { CHAT, loadOn, type Load } from './load.ts'
import { paced } from './paced.ts'
import { startNginxProxy, startNode, startUpstream, type Program } from './programs.ts'
import { number, print } from './table.ts'

/** V8 compiles what a request of Farebox runs through for that long; a gateway runs for weeks. */
const WARM_S = 30

/**
 * JSON requests, every program after the other with the same load, `rounds` times in turn so that
 * a machine that changes its mind changes it for all. The median round counts.
 */
export async function benchJson(seconds: number, rounds: number): Promise<void> {
  const upstream = await startUpstream()
  const nginx = await startNginxProxy(upstream.url)
  const plain = await startNode('plain @fastify/http-proxy', 'bench/plain-proxy.ts', [upstream.url])
  const farebox = await startFarebox(upstream.url)
  const key = farebox.customer.apiKey
  const programs = [upstream, ...(nginx === null ? [] : [nginx]), plain, farebox]
  try {
    for (const program of [plain, farebox]) await loadOn(program, key, 64, WARM_S)
    for (const connections of [64, 256]) {
      const rows = await measure(programs, key, connections, seconds, rounds)
      report(connections, programs, rows, plain)
    }
    await addedLatency(upstream, plain, farebox, seconds)
    await proveBooks(farebox)
  } finally {
    for (const program of programs.reverse()) await program.stop()
  }
}

async function measure(
  programs: readonly Program[],
  key: string,
  connections: number,
  seconds: number,
  rounds: number,
): Promise<Map<Program, Load>> {
  const all = new Map<Program, Load[]>(programs.map((program) => [program, []]))
  for (let round = 0; round < rounds; round++) {
    for (const program of programs) {
      all.get(program)?.push(await loadOn(program, key, connections, seconds))
    }
  }
  return new Map(programs.map((program) => [program, median(all.get(program) ?? [])]))
}

function median(loads: readonly Load[]): Load {
  const sorted = [...loads].sort((a, b) => a.requestsPerS - b.requestsPerS)
  const middle = sorted[Math.floor(sorted.length / 2)]
  if (middle === undefined) throw new Error('nothing was measured')
  return middle
}

function report(
  connections: number,
  programs: readonly Program[],
  loads: ReadonlyMap<Program, Load>,
  plain: Program,
): void {
  const base = loads.get(plain)?.requestsPerS ?? 1
  const rows = programs.flatMap((program) => {
    const load = loads.get(program)
    if (load === undefined) return []
    return [
      [
        program.name,
        number(load.requestsPerS, 0),
        number(load.requestsPerS / base, 2),
        number(load.p50Ms, 2),
        number(load.p99Ms, 2),
        number(load.cpuCores, 2),
        number(load.memoryMb, 0),
        String(load.failed),
      ],
    ]
  })
  const heads = ['requests/s', '× plain', 'p50 ms', 'p99 ms', 'CPU cores', 'memory MB', 'failed']
  print(`JSON, ${connections} connections`, ['', ...heads], rows)
}

/**
 * At a tenth of its rate, so that nothing queues: what the gateway itself adds. Beside it the plain
 * proxy, and the least that these round trips cost on this machine (bare.ts).
 */
async function addedLatency(
  upstream: Program,
  plain: Program,
  farebox: BenchFarebox,
  seconds: number,
): Promise<void> {
  const key = farebox.customer.apiKey
  const full = await loadOn(farebox, key, 64, seconds)
  const rate = Math.max(50, Math.round(full.requestsPerS / 10))
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` }
  const evenly = ({ url }: Program) =>
    paced(rate, seconds, () => ({ url: `${url}${CHAT.path}`, headers, body: CHAT.body }))
  const stores = [upstream.url, farebox.redisUrl, farebox.databaseUrl]
  const bare = await startNode('the bare round trips', 'bench/bare.ts', stores)
  try {
    await loadOn(bare, key, 8, WARM_S)
    await evenly(farebox) // warms
    const direct = await evenly(upstream)
    const row = (name: string, load: typeof direct): string[] => [
      name,
      number(load.requestsPerS, 0),
      number(load.p50Ms, 2),
      number(load.p99Ms, 2),
      number(load.p50Ms - direct.p50Ms, 2),
      number(load.p99Ms - direct.p99Ms, 2),
      String(load.failed),
    ]
    const rows = [row(upstream.name, direct)]
    for (const program of [plain, bare, farebox]) {
      rows.push(row(program.name, await evenly(program)))
    }
    const heads = ['requests/s', 'p50 ms', 'p99 ms', 'added p50', 'added p99', 'failed']
    print('Latency at a tenth of the rate, at an even pace', ['', ...heads], rows)
  } finally {
    await bare.stop()
  }
}

/** A bench whose books do not balance measured something else. */
async function proveBooks(farebox: BenchFarebox): Promise<void> {
  const answer = await farebox.gateway.admin.call('POST', '/admin/v1/verify', {})
  const text = await answer.text()
  console.log(`\nBooks after the load: ${answer.ok ? text.slice(0, 200) : `NOT PROVEN ${text}`}`)
}
