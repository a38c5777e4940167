import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'

/** apt may be slow: then what needs the package is left out, and the rest is not held up. */
const DOWNLOAD_MS_MAX = 240_000
/** Unpacking what is there. It is never cut: half-installed packages would stop every later apt. */
const UNPACK_MS_MAX = 240_000

function apt(args: readonly string[], signal?: AbortSignal): ChildProcess {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const options = { env, stdio: 'ignore', ...(signal === undefined ? {} : { signal }) } as const
  return spawn('apt-get', ['-qq', ...args], options)
}

/** Whether it ended well, and in time. */
function ended(child: ChildProcess, waitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      child.unref()
      resolve(false)
    }, waitMs)
    const end = (isWell: boolean): void => {
      clearTimeout(timer)
      resolve(isWell)
    }
    child.once('error', () => {
      end(false)
    })
    child.once('exit', (code) => {
      end(code === 0)
    })
  })
}

async function install(name: string): Promise<void> {
  const abort = AbortSignal.timeout(DOWNLOAD_MS_MAX)
  const packages = ['install', '-y', '--no-install-recommends', name]
  const download = [['update'], [...packages, '--download-only']]
  for (const args of download) {
    if (!(await ended(apt(args, abort), DOWNLOAD_MS_MAX))) return
  }
  await ended(apt([...packages, '--no-download']), UNPACK_MS_MAX)
}

export interface OptionalProgram {
  readonly name: string
  readonly find: () => string | null
  readonly debianPackage: string
  /** What is left out without it, and what to do. */
  readonly otherwise: string
}

/**
 * A program that some tests want: found, else installed where apt-get and root allow it (as in most
 * CI containers). Says what is left out, and answers null, where there is none.
 */
export async function obtainProgram(program: OptionalProgram): Promise<string | null> {
  const { name, find, debianPackage, otherwise } = program
  if (find() === null && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    console.log(`farebox: ${name} is not installed; apt-get install ${debianPackage} …`)
    await install(debianPackage)
  }
  const found = find()
  if (found === null) console.log(`farebox: ${otherwise}`)
  return found
}
