import type { CliDeps } from '../../src/app/cli/context.ts'
import { runCli } from '../../src/cli.ts'
import { ADMIN_TOKEN } from '../admin/world.ts'

/** Runs a command against a server as a person in a terminal would see it. */
export async function runAt(url: string, args: readonly string[], over: Partial<CliDeps> = {}) {
  const lines = { out: [] as string[], err: [] as string[] }
  const code = await runCli(args, {
    url,
    adminToken: ADMIN_TOKEN,
    quickstart: null,
    version: '0.0.0-test',
    serve: () => Promise.resolve(0),
    migrate: null,
    openLocal: null,
    setUpStripe: () => Promise.resolve({ steps: [], environment: {} }),
    replay: () => Promise.reject(new Error('not here')),
    fetch,
    newReference: () => 'made-up-reference',
    out: (text) => lines.out.push(text),
    err: (text) => lines.err.push(text),
    ...over,
  })
  return { code, out: lines.out.join('\n'), err: lines.err.join('\n') }
}
