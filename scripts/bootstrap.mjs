// Makes node_modules agree with package-lock.json, with nothing but Node ≥ 18: it runs before the
// first install and on whatever Node the machine has. What runs after it is started through
// node_modules/.bin, where the package `node` has put the pinned version.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const read = (path) => JSON.parse(readFileSync(join(root, path), 'utf8'))
const lock = read('package-lock.json')

// A production install (npm ci --omit=dev) is complete for `npm start`.
const needsDev = !['prestart', 'prefarebox'].includes(process.env.npm_lifecycle_event ?? '')

function stale() {
  if (!existsSync(join(root, 'node_modules/.package-lock.json'))) return 'nothing is installed'
  const installed = read('node_modules/.package-lock.json').packages
  for (const [path, wanted] of Object.entries(lock.packages)) {
    if (path === '' || wanted.optional || wanted.devOptional || (wanted.dev && !needsDev)) continue
    const found = installed[path]
    if (found?.version === wanted.version && found.integrity === wanted.integrity) continue
    return `${path.slice('node_modules/'.length)} is not ${wanted.version}`
  }
  return null
}

const pinned = lock.packages['node_modules/node'].version

function pinnedNodeRuns() {
  const node = join(
    root,
    'node_modules/node/bin',
    process.platform === 'win32' ? 'node.exe' : 'node',
  )
  const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' })
  return stdout?.trim() === `v${pinned}`
}

function npm(args, why) {
  console.log(`farebox: ${why}; npm ${args.join(' ')} …`)
  const cli = process.env.npm_execpath
  const [command, first] = cli?.endsWith('.js') ? [process.execPath, [cli]] : ['npm', []]
  const { status, error } = spawnSync(command, [...first, ...args], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    // npm passes its own lifecycle settings on to what it runs; these two would change an install.
    env: { ...process.env, npm_config_ignore_scripts: undefined, npm_config_dry_run: undefined },
    shell: process.platform === 'win32',
  })
  if (status === 0) return
  console.error(`farebox: npm ${args.join(' ')} failed${error ? ` (${error.message})` : ''}`)
  process.exit(1)
}

const reason = stale()
if (reason !== null) {
  npm(
    ['ci', '--no-audit', '--no-fund', '--loglevel=error', ...(needsDev ? ['--include=dev'] : [])],
    reason,
  )
}

// The package `node` fetches the binary of this platform in its install script, so an install
// with --ignore-scripts leaves it out.
if (!pinnedNodeRuns()) npm(['rebuild', 'node', '--loglevel=error'], `Node ${pinned} is missing`)
if (!pinnedNodeRuns()) {
  const [major, minor] = process.versions.node.split('.').map(Number)
  const usable = major > 22 || (major === 22 && minor >= 19)
  console.error(`farebox: Node ${pinned} could not be installed; this is ${process.version}`)
  if (!usable) process.exit(1)
}
