import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** A server under test: where it answers, and the processes whose CPU and memory it costs. */
export interface Program {
  readonly name: string
  readonly url: string
  readonly pid: number
  stop(): Promise<void> | void
}

export const has = (command: string): boolean =>
  spawnSync('sh', ['-c', `command -v ${command}`]).status === 0

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => {
        resolve(port)
      })
    })
  })
}

/** Waits until something answers HTTP there. */
async function answers(url: string): Promise<void> {
  const deadline = performance.now() + 15_000
  for (;;) {
    try {
      await (await fetch(url)).arrayBuffer()
      return
    } catch (error) {
      if (performance.now() > deadline) throw error
      await delay(50)
    }
  }
}

export const ANSWER = JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: 'gpt-4o-mini',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: 'Hello there, how can I help you today?' },
      finish_reason: 'stop',
    },
  ],
  usage: { prompt_tokens: 12, completion_tokens: 10, total_tokens: 22 },
})

export const REQUEST = JSON.stringify({
  model: 'gpt-4o-mini',
  max_tokens: 64,
  messages: [{ role: 'user', content: 'Hello' }],
})

/** nginx with one worker and a location; null where it is not installed. */
async function startNginx(
  name: string,
  http: string,
  location: (port: number) => string,
): Promise<Program> {
  const dir = mkdtempSync(join(tmpdir(), 'farebox-bench-'))
  const port = await freePort()
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${dir}/${kind};`)
    .join(' ')
  const config = `worker_processes 1; daemon off; pid ${dir}/pid; error_log ${dir}/error.log;
events { worker_connections 8192; }
http { access_log off; keepalive_requests 100000000; ${temp} ${http}
server { listen 127.0.0.1:${port}; location / { ${location(port)} } } }`
  writeFileSync(join(dir, 'nginx.conf'), config)
  const child = spawn('nginx', ['-e', `${dir}/error.log`, '-c', join(dir, 'nginx.conf')])
  process.once('exit', () => child.kill())
  const url = `http://127.0.0.1:${port}`
  await answers(url)
  return {
    name,
    url,
    pid: workerOf(child.pid ?? 0),
    stop: () => {
      child.kill('SIGQUIT')
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

const workerOf = (pid: number): number => {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
  return Number(children[0] ?? pid)
}

/** The fastest upstream there is here: nginx, else a Node server. */
export async function startUpstream(): Promise<Program> {
  if (!has('nginx')) return startNode('upstream alone (node)', 'bench/upstream-json.ts', [])
  return startNginx(
    'upstream alone (nginx)',
    '',
    () => `default_type application/json; return 200 '${ANSWER}';`,
  )
}

/** An upstream that answers by path: the first of `answers` whose regular expression matches. */
export async function startByPath(
  answers: readonly { readonly match: string; readonly answer: string }[],
): Promise<Program> {
  if (!has('nginx')) {
    return startNode('upstream alone (node)', 'bench/upstream-json.ts', [JSON.stringify(answers)])
  }
  const branches = answers.map(
    ({ match, answer }) => `if ($uri ~ "${match}") { return 200 '${answer}'; }`,
  )
  const location = `default_type application/json; ${branches.join(' ')} return 404;`
  return startNginx('upstream alone (nginx)', '', () => location)
}

export async function startNginxProxy(upstream: string): Promise<Program | null> {
  if (!has('nginx')) return null
  const { host } = new URL(upstream)
  return startNginx(
    'nginx as proxy',
    `upstream up { server ${host}; keepalive 256; }`,
    () => 'proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";',
  )
}

/** A program of this folder that prints its port. */
export async function startNode(
  name: string,
  file: string,
  args: readonly string[],
): Promise<Program> {
  const child: ChildProcess = spawn(process.execPath, [file, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const port = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.stdout?.once('data', (line: Buffer) => {
      resolve(Number(line.toString()))
    })
  })
  return {
    name,
    url: `http://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    stop: () => {
      child.kill()
    },
  }
}
