import { readdirSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  citations,
  driversInTheirPlace,
  environmentInConfigOnly,
  forbiddenWords,
  headerComment,
  importOrder,
  kebabCase,
  noWayAround,
  sizes,
  type Check,
  type SourceFile,
} from './support/tidy.ts'

const root = join(import.meta.dirname, '..')

function filesIn(folder: string): SourceFile[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({
      path: path.slice(root.length + 1).replaceAll(sep, '/'),
      text: readFileSync(path, 'utf8'),
    }))
}

const src = filesIn('src')
const code = src.filter(({ path }) => path.endsWith('.ts'))
const statements = [...src, ...filesIn('migrations')].filter(({ path }) =>
  /\.(sql|lua)$/.test(path),
)

const papers = new Map([
  ['design', readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8')],
  ...filesIn('docs').map(({ path, text }) => [path.slice('docs/'.length), text] as const),
])
const inPaper = citations(new Map([['a.md', '# A\n\n## §1 One\n\n1. first\n']]))

const offences = (files: readonly SourceFile[], check: Check): string[] =>
  files.flatMap((file) => check(file).map((offence) => `${file.path}: ${offence}`))

describe('the source', () => {
  test('is looked at', () => {
    expect(code.length).toBeGreaterThan(10)
    expect(statements.length).toBeGreaterThan(1)
  })
  test('imports downward only', () => {
    expect(offences(code, importOrder)).toEqual([])
  })
  test('keeps drivers in their place', () => {
    expect(offences(code, driversInTheirPlace)).toEqual([])
  })
  test('reads the environment in config.ts only', () => {
    expect(offences(code, environmentInConfigOnly)).toEqual([])
  })
  test('keeps functions, files and lines short', () => {
    expect(
      offences([...code, ...statements.filter((f) => f.path.startsWith('src/'))], sizes),
    ).toEqual([])
  })
  test('has no any and silences no tool', () => {
    expect(offences(code, noWayAround)).toEqual([])
    expect(offences(statements, forbiddenWords)).toEqual([])
  })
  test('is named in kebab-case', () => {
    expect(offences(src, kebabCase)).toEqual([])
  })
  test('cites what a newcomer can look up', () => {
    expect(offences(src, citations(papers))).toEqual([])
  })
  test('says at the top of each SQL and Lua file what it does', () => {
    expect(offences(statements, headerComment)).toEqual([])
  })
})

describe('each check sees what it forbids', () => {
  const long = (lines: number) => 'x\n'.repeat(lines)
  const cases: [string, Check, string, string][] = [
    ['an import upward', importOrder, 'src/ledger/a.ts', "import { b } from '../credits/b.ts'"],
    ['a re-export upward', importOrder, 'src/ledger/a.ts', "export * from '../access/b.ts'"],
    ['a late import upward', importOrder, 'src/ledger/a.ts', "await import('../access/b.ts')"],
    ['a type upward', importOrder, 'src/ledger/a.ts', "type B = import('../access/b.ts').B"],
    ['a neighbour', importOrder, 'src/gateway/a.ts', "import { b } from '../billing/b.ts'"],
    ['the composition root', importOrder, 'src/gateway/a.ts', "import { b } from '../app.ts'"],
    ['the demo', importOrder, 'src/app.ts', "import { b } from './demo/b.ts'"],
    ['a test', importOrder, 'src/app.ts', "import { b } from '../test/b.ts'"],
    ['an unknown area', importOrder, 'src/utils/a.ts', ''],
    ['a driver', driversInTheirPlace, 'src/ledger/a.ts', "import pg from 'pg'"],
    ['stripe', driversInTheirPlace, 'src/gateway/a.ts', "import type S from 'stripe'"],
    ['process.env', environmentInConfigOnly, 'src/app.ts', 'const a = process.env.PORT'],
    ['taken env', environmentInConfigOnly, 'src/app.ts', 'const { env } = process'],
    [
      'imported env',
      environmentInConfigOnly,
      'src/a.ts',
      "import { env as e } from 'node:process'",
    ],
    ['a long file', sizes, 'src/a.ts', long(301)],
    ['a long line', sizes, 'src/a.ts', 'y'.repeat(101)],
    ['a long function', sizes, 'src/a.ts', `const f = () => {\n${long(59)}}`],
    ['any', noWayAround, 'src/a.ts', 'let a: Record<string, any>'],
    ['a silenced compiler', noWayAround, 'src/a.ts', '// @ts-' + 'ignore'],
    ['a silenced linter', noWayAround, 'src/a.ts', '/* eslint-' + 'disable */'],
    ['unfinished work', forbiddenWords, 'src/a.sql', '-- TO' + 'DO'],
    ['camelCase', kebabCase, 'src/ledger/postBatch.ts', ''],
    ['a paper that is not there', inPaper, 'src/a.ts', '/** Source: b.md §1. */'],
    ['a missing section', inPaper, 'src/a.ts', '/** Source: a.md §1 (I3,\n * I4) and §2. */'],
    ['a missing step', inPaper, 'src/a.ts', '/** Source: a.md §1.1–§1.2. */'],
    ['no header', headerComment, 'src/ledger/a.sql', 'SELECT 1'],
  ]
  test.each(cases)('%s', (_name, check, path, text) => {
    expect(check({ path, text })).not.toEqual([])
  })

  test('and lets the rest pass', () => {
    const text = "import { b } from '../kernel/b.ts'\nimport pg from 'pg'\nexport const c = b"
    for (const check of [importOrder, driversInTheirPlace, environmentInConfigOnly, sizes]) {
      expect(check({ path: 'src/store/a.ts', text })).toEqual([])
    }
    expect(inPaper({ path: 'src/a.ts', text: '/** Source: a.md\n * §1.1 and §1. */' })).toEqual([])
    expect(headerComment({ path: 'src/a.lua', text: '#!lua flags=allow-oom\n-- Does.' })).toEqual(
      [],
    )
  })
})
