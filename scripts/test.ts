import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { obtainBrowser } from './browser.ts'
import { obtainPooler } from './pooler.ts'
import { obtainServers, type Servers } from './servers.ts'

/**
 * `npm test`: lint, types, then every test against real Postgres and Redis. The last line is
 * "N passed, N failed". Arguments go to vitest and leave lint and types out.
 */
interface Tally {
  passed: number
  failed: number
}

const root = join(import.meta.dirname, '..')
const running = new Set<ChildProcess>()
let servers: Servers | undefined

function run(command: string, args: readonly string[], env = process.env): Promise<number> {
  const bin = join(root, 'node_modules/.bin', command)
  const child = spawn(bin, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env })
  running.add(child)
  return new Promise((resolve) => {
    child.once('error', (error) => {
      console.error(`${command}: ${error.message}`)
      resolve(1)
    })
    child.once('exit', (code) => {
      running.delete(child)
      resolve(code ?? 1)
    })
  })
}

async function check(name: string, commands: readonly (readonly [string, ...string[]])[]) {
  let failures = 0
  for (const [command, ...args] of commands) failures += (await run(command, args)) === 0 ? 0 : 1
  console.log(`${failures === 0 ? '✓' : '✗'} ${name}`)
  return { passed: failures === 0 ? 1 : 0, failed: failures === 0 ? 0 : 1 }
}

const Report = z.object({
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  success: z.boolean(),
  testResults: z.array(
    z.object({
      status: z.string(),
      assertionResults: z.array(z.object({ status: z.string() })),
    }),
  ),
})

/** A file that failed outside its tests (it did not load, a hook threw) counts as one failure. */
function tally(reportPath: string, exitCode: number): Tally {
  let report: z.infer<typeof Report>
  try {
    report = Report.parse(JSON.parse(readFileSync(reportPath, 'utf8')))
  } catch {
    return { passed: 0, failed: 1 } // vitest ended before it could report
  }
  const brokenFiles = report.testResults.filter(
    (file) =>
      file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed'),
  ).length
  const failed = report.numFailedTests + brokenFiles
  // An error outside every test, or no test at all.
  const unexplained = exitCode !== 0 && failed === 0 ? 1 : 0
  return { passed: report.numPassedTests, failed: failed + unexplained }
}

async function tests(args: readonly string[]): Promise<Tally> {
  try {
    servers = await obtainServers()
  } catch (error) {
    console.error(`✗ ${error instanceof Error ? error.message : String(error)}`)
    return { passed: 0, failed: 1 }
  }
  const dir = mkdtempSync(join(tmpdir(), 'farebox-test-'))
  const report = join(dir, 'report.json')
  const env = {
    ...process.env,
    TEST_DATABASE_URL: servers.databaseUrl,
    TEST_REDIS_URL: servers.redisUrl,
  }
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
    return tally(report, await run('vitest', ['run', ...reporters, ...args], env))
  } finally {
    rmSync(dir, { recursive: true, force: true })
    await servers.stop()
  }
}

async function main(args: readonly string[]): Promise<number> {
  const tallies: Tally[] = []
  if (args.length === 0) {
    // They come while the others work, and before apt-get is asked for a server: one at a time.
    const optional = obtainBrowser().then(obtainPooler)
    // Beside each other: each is one thread that works for minutes.
    const checks = [
      check('lint', [['eslint', '.']]),
      check('format and types', [
        ['prettier', '--check', '--log-level', 'warn', '.'],
        ['tsc', '--noEmit'],
      ]),
    ]
    tallies.push(...(await Promise.all(checks)))
    await optional
  }
  tallies.push(await tests(args))
  const passed = tallies.reduce((sum, part) => sum + part.passed, 0)
  const failed = tallies.reduce((sum, part) => sum + part.failed, 0)
  console.log(`${passed} passed, ${failed} failed`)
  return failed === 0 && passed > 0 ? 0 : 1
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    for (const child of running) child.kill(signal)
    void (servers?.stop() ?? Promise.resolve()).finally(() => process.exit(130))
  })
}

process.exitCode = await main(process.argv.slice(2))
