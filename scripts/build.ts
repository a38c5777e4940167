import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, globSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { configJsonSchema } from '../src/config-schema.ts'

/**
 * `npm run build [-- <folder>]`: the program as JavaScript with its declarations, its SQL and Lua
 * beside it, and the JSON Schema of farebox.yaml for editors. Node runs no TypeScript out of
 * node_modules, so a package needs it; a checkout does not.
 */
const root = join(import.meta.dirname, '..')
const out = process.argv[2] ?? join(root, 'dist')

rmSync(out, { recursive: true, force: true })
const tsc = join(root, 'node_modules/.bin/tsc')
const args = ['-p', 'tsconfig.build.json', '--outDir', out]
const { status } = spawnSync(tsc, args, { cwd: root, stdio: 'inherit' })
if (status !== 0) process.exit(1)

for (const file of globSync('**/*.{sql,lua}', { cwd: join(root, 'src') })) {
  cpSync(join(root, 'src', file), join(out, file))
}
chmodSync(join(out, 'main.js'), 0o755)
writeFileSync(join(out, 'farebox.schema.json'), `${JSON.stringify(configJsonSchema(), null, 2)}\n`)
