import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { programFile } from '../kernel/program-file.ts'

/** The demo upstream as a process of its own; it ends with this one. */
export interface DemoUpstream {
  readonly baseUrl: string
  stop(): void
}

const readySchema = z.object({ port: z.int().positive() })

/** Starts it on a free port. Throws when it does not come up within `waitMs`. */
export function startDemoUpstream(waitMs: number): Promise<DemoUpstream> {
  const file = fileURLToPath(programFile('../demo/upstream', import.meta.url))
  const child = spawn(process.execPath, [file], { stdio: ['pipe', 'pipe', 'inherit'] })
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      clearTimeout(timer)
      child.kill()
      reject(new Error(`the demo upstream did not start: ${why}`))
    }
    const timer = setTimeout(fail, waitMs, 'no answer in time')
    child.once('error', (error) => {
      fail(error.message)
    })
    child.once('exit', (code) => {
      fail(`exit code ${String(code)}`)
    })
    createInterface({ input: child.stdout }).once('line', (line) => {
      const ready = readySchema.safeParse(JSON.parse(line))
      if (!ready.success) {
        fail('it printed no port')
        return
      }
      clearTimeout(timer)
      child.removeAllListeners('exit')
      resolve({
        baseUrl: `http://127.0.0.1:${ready.data.port}`,
        stop: () => {
          child.kill()
        },
      })
    })
  })
}
