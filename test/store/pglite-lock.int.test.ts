import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { StoreAwayError } from '../../src/store/errors.ts'
import { openPglite } from '../../src/store/pglite.ts'
import { lockDirectory } from '../../src/store/pglite-lock.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'farebox-lock-'))
})
afterEach(() => {
  rmSync(dir, { recursive: true })
})

const MODULE = fileURLToPath(new URL('../../src/store/pglite-lock.ts', import.meta.url))

/** A process of its own that owns the directory until it is killed. */
async function startOwner() {
  const script = `import { lockDirectory } from ${JSON.stringify(MODULE)}
    lockDirectory(${JSON.stringify(dir)}); console.log('owns'); setInterval(() => {}, 1000)`
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(owner.stdout, 'data')
  return {
    pid: owner.pid ?? 0,
    async kill() {
      owner.kill('SIGKILL')
      await once(owner, 'exit')
    },
  }
}

test('data is kept over a close, and a closed database is away', async () => {
  const first = await openPglite({ dir })
  await first.query('CREATE TABLE t AS SELECT 7 AS n')
  await first.close()
  await expect(first.query('SELECT 1')).rejects.toBeInstanceOf(StoreAwayError)
  const second = await openPglite({ dir })
  expect(await second.query('SELECT n FROM t')).toEqual([{ n: 7 }])
  await second.close()
  expect(readdirSync(dir)).toEqual(['postgres'])
})

test('a directory that a living process owns is refused by name, a dead one’s is taken', async () => {
  const owner = await startOwner()
  expect(() => lockDirectory(dir)).toThrow(new RegExp(`in use by process ${owner.pid}:`))
  await owner.kill()
  const unlock = lockDirectory(dir)
  expect(readFileSync(join(dir, 'owner.lock'), 'utf8')).toMatch(new RegExp(`^${process.pid} `))
  unlock()
  expect(readdirSync(dir)).toEqual([])
})

test('this process cannot open a directory twice', () => {
  const unlock = lockDirectory(dir)
  expect(() => lockDirectory(dir)).toThrow(/in use/)
  unlock()
  lockDirectory(dir)()
})

test('a pid that another process has by now does not keep the directory', () => {
  // As in a container: the same number after a restart, another start.
  writeFileSync(join(dir, 'owner.lock'), `${process.pid} 1`)
  lockDirectory(dir)()
  expect(readdirSync(dir)).toEqual([])
})
