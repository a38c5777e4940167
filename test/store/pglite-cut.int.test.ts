import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openPglite } from '../../src/store/pglite.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'farebox-cut-'))
})
afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

async function expectOpens(): Promise<void> {
  const db = await openPglite({ dir })
  expect(await db.query('SELECT 1 AS one', [])).toEqual([{ one: 1 }])
  await db.close()
}

test('a database whose making was cut off as its last files came is made anew', async () => {
  const url = new URL('../../src/store/pglite.ts', import.meta.url).href
  const program = `const { openPglite } = await import('${url}')
    await openPglite({ dir: ${JSON.stringify(dir)} })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program])
  const marks = ['postgres', 'postgres.new'].map((name) => join(dir, name, 'PG_VERSION'))
  while (!marks.some((mark) => existsSync(mark))) await setImmediate()
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
  await expectOpens()
})

test('what an earlier start left half made is not in the way', async () => {
  for (const name of ['postgres', 'postgres.new'])
    mkdirSync(join(dir, name, 'base/1'), { recursive: true })
  writeFileSync(join(dir, 'postgres.new/PG_VERSION'), '17')
  await expectOpens()
  await expectOpens()
})
