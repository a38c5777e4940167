import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')

/** What lasts longer than a transaction and so is lost, or found by others, behind a pooler. */
const SESSION = [
  /\bpg_(?:try_)?advisory_(?:lock|unlock)/i, // the others end in _xact_lock
  /\b(?:UN)?LISTEN\s+\w+/i,
  /\bCREATE\s+(?:LOCAL\s+|GLOBAL\s+)?TEMP/i,
  /\bPREPARE\s+\w+|\bDEALLOCATE\b/i,
  /\bWITH\s+HOLD\b/i,
  /\bSET\s+SESSION\b/i,
  /^\s*SET\s+(?!LOCAL\b|TRANSACTION\b)\w+\s*(?:=|TO\b)/i,
  /\bset_config\s*\([^)]*false\s*\)/i,
]

const isSession = (statement: string): boolean => SESSION.some((pattern) => pattern.test(statement))

const statements = (sql: string): string[] => sql.replaceAll(/--.*$/gm, '').split(';')

const files = ['src', 'migrations'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.sql'))
    .map((path) => join(folder, path)),
)

describe('no statement leaves anything to the session', () => {
  it('in src and migrations', () => {
    expect(files.length).toBeGreaterThan(200)
    const found = files.flatMap((path) =>
      statements(readFileSync(join(root, path), 'utf8'))
        .filter(isSession)
        .map((statement) => [path, statement]),
    )
    expect(found).toEqual([])
  })

  it.each([
    'SELECT pg_advisory_lock(1)',
    'SELECT pg_try_advisory_lock(1)',
    'LISTEN changes',
    'CREATE TEMP TABLE x ()',
    'SET search_path = x',
    "SELECT set_config('a.b', '1', false)",
    'DECLARE c CURSOR WITH HOLD FOR SELECT 1',
  ])('which "%s" would', (line) => {
    expect(isSession(line)).toBe(true)
  })
})
