import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { findChromium } from '../test/support/browser.ts'

/** apt may be slow: then the browser's tests are left out, and the rest is not held up. */
const DOWNLOAD_MS_MAX = 240_000
/** Unpacking what is there. It is never cut: half-installed packages would stop every later apt. */
const UNPACK_MS_MAX = 240_000

const HINT =
  'Install Chromium (Debian: apt-get install chromium; macOS: brew install chromium), or set ' +
  'TEST_CHROMIUM to a Chromium or Chrome.'

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

/** Debian as root, as in most CI containers. */
async function install(): Promise<void> {
  console.log('farebox: Chromium is not installed; apt-get install chromium …')
  const abort = AbortSignal.timeout(DOWNLOAD_MS_MAX)
  const packages = ['install', '-y', '--no-install-recommends', 'chromium']
  const download = [['update'], [...packages, '--download-only']]
  for (const args of download) {
    if (!(await ended(apt(args, abort), DOWNLOAD_MS_MAX))) return
  }
  await ended(apt([...packages, '--no-download']), UNPACK_MS_MAX)
}

/**
 * The Chromium that tests drive: the one named by TEST_CHROMIUM, else found in PATH, else installed
 * where apt-get and root allow it. Says what to install, and answers null, where there is none.
 */
export async function obtainBrowser(): Promise<string | null> {
  if (findChromium() === null && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    await install()
  }
  const found = findChromium()
  if (found === null) console.log(`farebox: tests in a browser are left out. ${HINT}`)
  return found
}
