import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { ADMIN_TOKEN, type Gateway } from '../../support/gateway.ts'

const MAIN = fileURLToPath(new URL('../../../src/main.ts', import.meta.url))

export interface CliAnswer {
  readonly code: number | null
  readonly out: string
}

/** Runs `farebox <args>` against a gateway, as an operator does. */
export async function farebox(gateway: Gateway, ...args: readonly string[]): Promise<CliAnswer> {
  const { PATH, NODE_COMPILE_CACHE } = process.env
  const child = spawn(process.execPath, [MAIN, ...args, '--url', gateway.url], {
    env: { PATH, NODE_COMPILE_CACHE, FAREBOX_ADMIN_TOKEN: ADMIN_TOKEN },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const out = await text(child.stdout)
  await exited
  return { code: child.exitCode, out }
}
