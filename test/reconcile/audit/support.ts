import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { auditAlone } from '../../../src/app/cli/audit.ts'

/** Stripe's Dashboard export, as it is now and as it was. */
export const NOW_HEADING =
  'id,Customer ID,Customer Description,Customer Email,Customer Name,Plan,Product,Quantity,Currency,' +
  'Interval,Amount,Status,Created (UTC),Start (UTC),Start Date (UTC),Current Period Start (UTC),' +
  'Current Period End (UTC),Trial Start (UTC),Trial End (UTC),Application Fee Percent,Coupon,' +
  'Tax Percent,Canceled At (UTC),Ended At (UTC),team (metadata)'
export const OLD_HEADING =
  'id,Customer ID,Customer Description,Customer Email,Plan,Quantity,Interval,Amount,Status,' +
  'Created (UTC),Start (UTC),Current Period Start (UTC),Current Period End (UTC),' +
  'Trial Start (UTC),Trial End (UTC),Application Fee Percent,Coupon,Tax Percent,Canceled At (UTC)'

export interface SubscriptionRow {
  readonly id?: string
  readonly customer?: string
  readonly email?: string
  readonly status: string
  readonly amount?: string
  readonly quantity?: number
  readonly start?: string
  readonly end?: string
}

let made = 0

/** A row under NOW_HEADING. */
export function nowRow(row: SubscriptionRow): string {
  made += 1
  const { customer = '', email = '', amount = '20.00', quantity = 1 } = row
  const { start = '2026-11-01 10:00', end = '2026-12-01 10:00', id = `sub_${made}` } = row
  return [
    ...[id, customer, '"Ann ""the"" Smith, Ltd"', email, 'Ann', 'price_1', 'prod_1', quantity],
    ...['usd', 'month', amount, row.status, start, start, start, start, end, '', '', '', '', ''],
    ...['', '', ''],
  ].join(',')
}

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

export interface RanJson {
  readonly code: number
  readonly kinds: readonly string[]
  readonly findings: readonly Record<string, unknown>[]
  readonly report: Record<string, unknown>
}

/** A folder with files of this text; `run` audits them as the command does. */
export async function makeAudit(files: Readonly<Record<string, string | Buffer>>) {
  const folder = await mkdtemp(join(tmpdir(), 'farebox-audit-'))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)

  async function run(...args: readonly string[]): Promise<Ran> {
    const [out, err]: [string[], string[]] = [[], []]
    const paths = ['stripe', 'app', 'notes']
      .filter((name) => `${name}.csv` in files)
      .flatMap((name) => [`--${name}`, join(folder, `${name}.csv`)])
    const code = await auditAlone(['audit', ...paths, '--as-of', '2026-11-15', ...args], {
      write: (text) => Promise.resolve(void out.push(text)),
      err: (text) => err.push(text),
      nowMs: () => Date.now(),
    })
    return { code, out: out.join(''), err: err.join('\n') }
  }

  return {
    run,
    async json(...args: readonly string[]): Promise<RanJson> {
      const { code, out, err } = await run('--format', 'json', ...args)
      if (code === 2) throw new Error(err)
      const report = JSON.parse(out) as Record<string, unknown>
      const findings = report.findings as Record<string, unknown>[]
      const kinds = findings.map(({ kind, severity }) => `${String(severity)} ${String(kind)}`)
      return { code, kinds: kinds.sort(), findings, report }
    },
    close: () => rm(folder, { recursive: true }),
  }
}

export const lines = (...rows: readonly string[]): string => `${rows.join('\n')}\n`
