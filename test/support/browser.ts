import { chromium, type Browser } from 'playwright-core'
import { findProgram } from './servers.ts'

/** A first start on a slow machine reads hundreds of megabytes. */
const START_MS_MAX = 90_000
/** What a page may take that shares two cores with another test. */
const STEP_MS_MAX = 30_000

/** The Chromium of TEST_CHROMIUM, else the first in PATH; null = there is none. */
export function findChromium(): string | null {
  const given = process.env.TEST_CHROMIUM
  if (given !== undefined && given !== '') return given
  return findProgram(['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'])
}

/** A real browser without a window. Chromium refuses its own sandbox to root. */
export function startBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({
    executablePath,
    chromiumSandbox: process.getuid?.() !== 0,
    args: ['--disable-dev-shm-usage'], // containers have little of it
    timeout: START_MS_MAX,
  })
}

/** One visit: a browser as somebody has it who was never here. What it asked for, and said, is kept. */
export async function visit(browser: Browser, options: { readonly javaScript: boolean }) {
  const context = await browser.newContext({ javaScriptEnabled: options.javaScript })
  context.setDefaultTimeout(STEP_MS_MAX)
  const page = await context.newPage()
  const asked: string[] = []
  const complaints: string[] = []
  page.on('request', (request) => asked.push(request.url()))
  page.on('console', (message) => complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(error.message))
  return { page, asked, complaints, [Symbol.asyncDispose]: () => context.close() }
}
