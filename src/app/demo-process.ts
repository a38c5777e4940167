import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { programFile } from '../kernel/program-file.ts'

/** A demo as a process of its own; it ends with this one. */
export interface DemoProcess<Ready> {
  /** What it printed when it was ready. */
  readonly ready: Ready
  readonly baseUrl: string
  stop(): void
}

export const demoReady = z.looseObject({ port: z.int().positive() })

/**
 * Starts `src/demo/<name>` on a free port and reads the line that it prints when it is ready.
 * Throws when that does not come within `waitMs`.
 */
export function startDemoProcess<Ready extends z.infer<typeof demoReady>>(
  name: string,
  args: readonly string[],
  schema: z.ZodType<Ready>,
  waitMs: number,
): Promise<DemoProcess<Ready>> {
  const file = fileURLToPath(programFile(`../demo/${name}`, import.meta.url))
  const child = spawn(process.execPath, [file, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      clearTimeout(timer)
      child.kill()
      reject(new Error(`the demo ${name} did not start: ${why}`))
    }
    const timer = setTimeout(fail, waitMs, 'no answer in time')
    child.once('error', (error) => {
      fail(error.message)
    })
    child.once('exit', (code) => {
      fail(`exit code ${String(code)}`)
    })
    createInterface({ input: child.stdout }).once('line', (line) => {
      const ready = schema.safeParse(JSON.parse(line))
      if (!ready.success) {
        fail('it printed no port')
        return
      }
      clearTimeout(timer)
      child.removeAllListeners('exit')
      resolve({
        ready: ready.data,
        baseUrl: `http://127.0.0.1:${ready.data.port}`,
        stop: () => {
          child.kill()
        },
      })
    })
  })
}
