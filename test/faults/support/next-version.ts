import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../../..')

/** A checkout beside this one. */
export interface Version {
  readonly root: string
  remove(): void
}

function edit(root: string, path: string, from: string | RegExp, to: string): void {
  const file = join(root, path)
  const text = readFileSync(file, 'utf8')
  const edited = text.replace(from, to)
  if (edited === text) throw new Error(`${path} has no ${String(from)}`)
  writeFileSync(file, edited)
}

/**
 * The release after this one, as far as both share state: every script has another text, accounts
 * and receipts in Redis have a field more, and the database a migration and a column more.
 */
export function makeNextVersion(): Version {
  const root = mkdtempSync(join(tmpdir(), 'farebox-next-'))
  for (const folder of ['src', 'migrations']) {
    cpSync(join(ROOT, folder), join(root, folder), { recursive: true })
  }
  cpSync(join(ROOT, 'package.json'), join(root, 'package.json'))
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'))
  const lua = 'src/credits/redis/lua'
  const scripts = readdirSync(join(root, lua)).filter((name) => name.endsWith('.lua'))
  for (const name of scripts) edit(root, join(lua, name), '\n', '\nlocal RELEASE = 2\n')
  edit(root, join(lua, 'load-account.lua'), `'inc', INC,`, `'inc', INC, 'next', '1',`)
  edit(
    root,
    'src/credits/receipt-text.ts',
    /JSON\.stringify\(receipt\)$/m,
    'JSON.stringify({ ...receipt, next: 1 })',
  )
  const migration = join(root, 'migrations/9000-next')
  mkdirSync(migration)
  writeFileSync(join(migration, 'up.sql'), 'ALTER TABLE accounts ADD COLUMN next text')
  writeFileSync(join(migration, 'check.sql'), 'SELECT next FROM accounts LIMIT 0')
  writeFileSync(join(migration, 'notes.md'), 'Of a release to come.')
  return {
    root,
    remove() {
      rmSync(root, { recursive: true, force: true })
    },
  }
}
