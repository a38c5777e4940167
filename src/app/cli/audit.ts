import { once } from 'node:events'
import { Command, CommanderError } from 'commander'
import { z } from 'zod'
import { AUDIT_GRACE_DAYS, AUDIT_TABLE_ROWS_MAX } from '../../kernel/limits/books.ts'
import { audit, type Audit } from '../../reconcile/audit/audit.ts'
import { readMaps } from '../../reconcile/audit/columns.ts'
import { AuditInputError } from '../../reconcile/audit/csv.ts'
import {
  COUNT_HEADINGS,
  countRows,
  csvLines,
  FINDING_HEADINGS,
  findingRows,
  jsonPieces,
  readingText,
} from '../../reconcile/audit/render.ts'
import { readTime, readWords } from '../../reconcile/audit/values.ts'
import { table } from './table.ts'

/** Where the audit writes. It needs nothing else of the program: no store, no configuration. */
export interface AuditIo {
  /** Resolves when more may be written. */
  write(text: string): Promise<void>
  err(text: string): void
  nowMs(): number
}

const options = z.object({
  stripe: z.string(),
  app: z.string(),
  notes: z.string().optional(),
  map: z.array(z.string()).default([]),
  format: z.enum(['table', 'csv', 'json'], { error: 'use table, csv or json' }).default('table'),
  active: z.string().default(''),
  blocked: z.string().default(''),
  graceDays: z.coerce.number().min(0).max(365).default(AUDIT_GRACE_DAYS),
  asOf: z.string().optional(),
})

async function show(found: Audit, format: string, nowMs: number, io: AuditIo): Promise<void> {
  if (format === 'json') {
    for (const piece of jsonPieces(found, nowMs)) await io.write(piece)
    await io.write('\n')
    return
  }
  if (format === 'csv') {
    io.err(readingText(found))
    for (const line of csvLines(found)) await io.write(`${line}\n`)
    return
  }
  await io.write(`${readingText(found)}\n\n`)
  const counts = countRows(found)
  if (counts.length === 0) {
    await io.write('Both sides agree.\n')
    return
  }
  await io.write(`${table(COUNT_HEADINGS, counts)}\n`)
  if (found.open === 0) return
  await io.write(`\n${table(FINDING_HEADINGS, findingRows(found))}\n`)
  const rest = found.open - AUDIT_TABLE_ROWS_MAX
  if (rest > 0) await io.write(`… and ${rest} more: see --format csv.\n`)
}

/** Exit codes: 0 nothing urgent, 1 urgent findings, 2 an input that cannot be used. */
async function runAudit(given: unknown, io: AuditIo): Promise<number> {
  const parsed = options.safeParse(given)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    io.err(`farebox: --${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not valid'}`)
    return 2
  }
  const { stripe, app, notes, map, format, active, blocked, graceDays, asOf } = parsed.data
  try {
    const nowMs = asOf === undefined ? io.nowMs() : readTime(asOf)
    if (nowMs === null) throw new AuditInputError(`--as-of ${asOf ?? ''}: write 2027-01-31`)
    const found = await audit({
      ...{ stripePath: stripe, appPath: app, notesPath: notes ?? null, maps: readMaps(map) },
      ...{ words: readWords(active, blocked), nowMs, graceDays },
    })
    await show(found, format, nowMs, io)
    return found.urgent > 0 ? 1 : 0
  } catch (error) {
    if (!(error instanceof AuditInputError)) throw error
    io.err(`farebox: ${error.message}`)
    return 2
  }
}

const collect = (value: string, before: string[]): string[] => [...before, value]

/** `farebox audit`: two exports compared, offline. Needs nothing but the files. */
export function auditCommand(
  program: Command,
  run: (work: () => Promise<number>) => Promise<void>,
  io: AuditIo,
): void {
  program
    .command('audit')
    .description('compare two exports, offline; exit code 1 where somebody pays and is blocked')
    .requiredOption('--stripe <csv>', "Stripe's export of subscriptions")
    .requiredOption('--app <csv>', "your program's accounts and who of them has access")
    .option('--notes <csv>', 'exceptions: subject, kind (trial, grace, comped, …), until, note')
    .option('--map <side.field=column>', 'where a column is not guessed right', collect, [])
    .option('--format <format>', 'table, csv or json')
    .option('--active <words>', 'more words of yours that mean access, with commas')
    .option('--blocked <words>', 'more words of yours that mean none')
    .option(
      '--grace-days <days>',
      `how long a failed payment may keep access (${AUDIT_GRACE_DAYS})`,
    )
    .option('--as-of <time>', 'when both exports were made; default now')
    .action((given: unknown) =>
      run(() => runAudit(program.opts().json === true ? withJson(given) : given, io)),
    )
}

const withJson = (given: unknown): unknown =>
  typeof given === 'object' ? { format: 'json', ...given } : given

/** Standard output, with its back pressure. */
export const standardIo: AuditIo = {
  async write(text) {
    if (!process.stdout.write(text)) await once(process.stdout, 'drain')
  },
  err(text) {
    process.stderr.write(`${text}\n`)
  },
  nowMs: () => Date.now(),
}

/**
 * Runs `farebox audit` by itself: without the rest of the program in memory, and without an
 * environment that could be wrong. Answers the exit code.
 */
export async function auditAlone(args: readonly string[], io = standardIo): Promise<number> {
  const program = new Command('farebox').option('--json').exitOverride()
  let code = 0
  const run = async (work: () => Promise<number>): Promise<void> => {
    code = await work()
  }
  auditCommand(program, run, io)
  try {
    await program.parseAsync([...args], { from: 'user' })
    return code
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    throw error
  }
}
