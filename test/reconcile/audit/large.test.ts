import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { lines, nowRow, NOW_HEADING } from './support.ts'

const ROWS = Number(process.env.FAREBOX_AUDIT_ROWS ?? 100_000)
/** The promise is 200 000 rows within 300 MB; this many in each of both files are twice that. */
const MEGABYTES_MAX = ROWS > 100_000 ? 300 : 220
const MAIN = fileURLToPath(new URL('../../../src/main.ts', import.meta.url))

/** Prints the most memory that the process ever had, in kB. */
const WATCH = `process.on('exit', () => {
  process.stderr.write('peak ' + process.resourceUsage().maxRSS + '\\n')
})`

async function write(path: string, heading: string, row: (at: number) => string): Promise<void> {
  const file = createWriteStream(path)
  file.write(`${heading}\n`)
  for (let at = 0; at < ROWS; at += 1_000) {
    const rows = Array.from({ length: Math.min(1_000, ROWS - at) }, (_, more) => row(at + more))
    if (!file.write(lines(...rows))) await once(file, 'drain')
  }
  file.end()
  await once(file, 'finish')
}

test(`${ROWS} rows a side are compared within ${MEGABYTES_MAX} MB, without an environment`, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'farebox-audit-'))
  try {
    await write(join(folder, 's.csv'), NOW_HEADING, (at) =>
      nowRow({
        customer: `cus_Pabcdefghijk${at}`,
        email: `user${at}@example.com`,
        status: 'active',
      }),
    )
    await write(join(folder, 'a.csv'), 'user_id,email,stripe_customer_id,plan', (at) => {
      const plan = at % 1_000 === 0 ? 'free' : 'pro'
      return `${at},user${at}@example.com,${at % 7 === 0 ? '' : `cus_Pabcdefghijk${at}`},${plan}`
    })
    const args = ['audit', '--stripe', join(folder, 's.csv'), '--app', join(folder, 'a.csv')]
    const watch = `data:text/javascript,${encodeURIComponent(WATCH)}`
    const child = spawn(process.execPath, ['--import', watch, MAIN, ...args, '--format', 'csv'], {
      env: { PORT: 'what is this', FAREBOX_CONFIG: '/nowhere' },
    })
    const [out, err] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'exit'),
    ])
    expect(child.exitCode).toBe(1)
    expect(out.match(/^urgent,paid_but_blocked/gm)).toHaveLength(ROWS / 1_000)
    const peaks = [...err.matchAll(/^peak (\d+)$/gm)].map(([, kilobytes]) => Number(kilobytes))
    expect(peaks.length).toBeGreaterThan(0)
    expect(Math.max(...peaks)).toBeLessThan(MEGABYTES_MAX * 1_000)
  } finally {
    await rm(folder, { recursive: true })
  }
})
