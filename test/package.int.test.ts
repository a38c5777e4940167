import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { migrationNames } from '../src/store/migrate.ts'
import { until } from './support/until.ts'

const root = join(import.meta.dirname, '..')
const packed = z.array(
  z.object({
    filename: z.string(),
    unpackedSize: z.number(),
    files: z.array(z.object({ path: z.string(), mode: z.number() })),
  }),
)
type Packed = z.infer<typeof packed.element>

function run(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stdout}${stderr}`)
  return stdout
}

function pack(into: string): Packed {
  run('npm', ['run', 'build'], root)
  const text = run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', into], root)
  // A list, or in newer versions of npm a record by name.
  const listed = z.union([packed, z.record(z.string(), packed.element)]).parse(JSON.parse(text))
  const [only] = Object.values(listed)
  if (only === undefined) throw new Error('npm packed nothing')
  return only
}

describe('the package', { timeout: 240_000 }, () => {
  let dir: string
  let home: string
  let made: Packed
  const paths = () => made.files.map(({ path }) => path)

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'farebox-package-'))
    made = pack(dir)
    // As npm would install it, with the packages of this checkout as its dependencies.
    const modules = join(dir, 'node_modules')
    mkdirSync(modules)
    for (const name of readdirSync(join(root, 'node_modules'))) {
      symlinkSync(join(root, 'node_modules', name), join(modules, name))
    }
    home = join(modules, 'farebox')
    run('tar', ['-xzf', made.filename], dir)
    run('mv', ['package', home], dir)
  }, 240_000)
  afterAll(() => {
    rmSync(dir, { recursive: true, force: true })
  })

  it('holds the built program, its migrations and documents, and nothing else', () => {
    const [own, rest] = [
      paths().filter((path) => /^(dist|migrations)\//.test(path)),
      paths().filter((path) => !/^(dist|migrations)\//.test(path)),
    ]
    expect(rest.sort()).toEqual([
      'ARCHITECTURE.md',
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'farebox.example.yaml',
      'package.json',
    ])
    const kinds = /(\.d\.ts|\.js|\.sql|\.lua|\.json|\/notes\.md)$/
    expect(own.filter((path) => !kinds.test(path))).toEqual([])
    for (const name of migrationNames()) expect(own).toContain(`migrations/${name}/up.sql`)
    for (const path of ['dist/main.js', 'dist/app.d.ts', 'dist/farebox.schema.json']) {
      expect(own).toContain(path)
    }
  })

  it('holds every statement and script that a checkout has', () => {
    const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    const wanted = sources.filter((path) => /\.(sql|lua)$/.test(path))
    expect(wanted.length).toBeGreaterThan(50)
    expect(paths()).toEqual(expect.arrayContaining(wanted.map((path) => `dist/${path}`)))
  })

  it('has a command that starts quickstart, as npx runs it', async () => {
    const cwd = mkdtempSync(join(dir, 'here-'))
    const { bin } = z
      .object({ bin: z.object({ farebox: z.string() }) })
      .parse(JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')))
    const main = join(home, bin.farebox)
    expect(readFileSync(main, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/)
    expect(run(process.execPath, [main, '--version'], cwd)).toMatch(/^\d+\.\d+\.\d+/)

    const env = { PATH: process.env.PATH ?? '', HOME: cwd, PORT: '0' }
    const child = spawn(process.execPath, [main], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const pipe of [child.stdout, child.stderr]) {
      pipe.setEncoding('utf8').on('data', (text: string) => (output += text))
    }
    try {
      await until(() => output.includes('quickstart.json') || child.exitCode !== null)
      expect(output).toContain('Farebox is ready')
      const { base_url: url, api_key: key } = z
        .object({ base_url: z.string(), api_key: z.string() })
        .parse(JSON.parse(readFileSync(join(cwd, '.farebox/quickstart.json'), 'utf8')))
      const answer = await fetch(`${url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hi' }] }),
      })
      expect(answer.status).toBe(200)
      expect(Number(answer.headers.get('x-farebox-cost'))).toBeGreaterThan(0)
    } finally {
      child.kill()
    }
    await until(() => child.exitCode !== null)
    expect(child.exitCode).toBe(0)
  })
})
