import { z } from 'zod'
import { progressView } from '../../admin/routes/reconcile.ts'
import { csvLine } from '../../reconcile/audit/csv-line.ts'
import { sleep, systemClock } from '../../kernel/clock.ts'
import { RefusedError } from './client.ts'
import { compareCostFile } from './costs.ts'
import { creditsCell, evidence, evidenceCell, timeCell } from './evidence.ts'
import { FAILED, globalsOf, OK, optionsOf, UsageError, type Cli } from './context.ts'
import { table } from './table.ts'

const finding = z.object({
  id: z.string(),
  kind: z.string(),
  severity: z.enum(['urgent', 'review', 'info']),
  direction: z.string().nullable(),
  subject: z.string(),
  at_stake_micros: z.number().nullable(),
  evidence,
  first_seen: z.string().nullable(),
  last_seen: z.string().nullable(),
})
type Finding = z.output<typeof finding>
const page = z.object({ data: z.array(finding), next_cursor: z.string().nullable() })

const options = z.object({
  since: z.string().optional(),
  fix: z.boolean().default(false),
  csv: z.boolean().default(false),
  costs: z.string().optional(),
  provider: z.string().optional(),
})

/** Between two questions while another process is at it. */
const STILL_MS = 1_000

const ORDER = ['urgent', 'review', 'info']

/** All open findings, urgent ones first. */
async function openFindings({ client }: Cli): Promise<Finding[]> {
  const all: Finding[] = []
  let cursor: string | null = null
  do {
    const after: string = cursor === null ? '' : `&cursor=${cursor}`
    const answer = page.parse(await client().send('GET', `/findings?limit=100${after}`))
    all.push(...answer.data)
    cursor = answer.next_cursor
  } while (cursor !== null)
  return all.toSorted((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity))
}

const CSV = [
  ...['severity', 'direction', 'kind', 'subject', 'at_stake_micros', 'first_seen', 'last_seen'],
  ...['evidence', 'id'],
]

const HEADINGS = [
  ...['SEVERITY', 'DIRECTION', 'KIND', 'SUBJECT', 'CREDITS', 'FIRST SEEN', 'LAST SEEN', 'ID'],
  'EVIDENCE',
]

const cells = (one: Finding): (string | number)[] => [
  ...[one.severity, one.direction ?? '', one.kind, one.subject, one.at_stake_micros ?? ''],
  ...[one.first_seen ?? '', one.last_seen ?? ''],
]

function show(cli: Cli, findings: readonly Finding[], isCsv: boolean): void {
  const out = (text: string): void => {
    cli.deps.out(text)
  }
  if (isCsv) {
    out(csvLine(CSV))
    for (const one of findings) out(csvLine([...cells(one), JSON.stringify(one.evidence), one.id]))
  } else if (globalsOf(cli.program).json) {
    out(JSON.stringify({ findings }, null, 2))
  } else if (findings.length === 0) {
    out('The books agree: no open findings.')
  } else {
    const rows = findings.map((one) => [
      ...[one.severity, one.direction, one.kind, one.subject, creditsCell(one.at_stake_micros)],
      ...[timeCell(one.first_seen), timeCell(one.last_seen), one.id, evidenceCell(one.evidence)],
    ])
    out(table(HEADINGS, rows))
    out('\nfarebox findings show <id> tells all of one.')
  }
}

type Progress = z.output<typeof progressView>

/** Step after step until it is done, told as it goes. Another run may be at it meanwhile. */
async function carryOn({ client, deps }: Cli, started: Progress): Promise<void> {
  let run = started
  while (run.check !== null) {
    deps.err(`${run.check_no + 1}/${run.checks} ${run.check}: ${run.seen} seen, ${run.found} found`)
    const next = progressView.parse(await client().send('POST', '/reconcile/step', {}))
    if (next.id !== run.id) return
    const isStill = next.check_no === run.check_no && next.seen === run.seen
    if (isStill && next.check !== null) await sleep(systemClock, STILL_MS)
    run = next
  }
  deps.err(`compared ${run.seen} in ${run.checks} books: ${run.found} found, ${run.fixed} fixed`)
}

/** Begins a comparison and carries it out; one that is under way is brought to its end before. */
async function carryOut(cli: Cli, body: object): Promise<void> {
  const read = async () => progressView.parse(await cli.client().send('GET', '/reconcile'))
  for (;;) {
    try {
      await carryOn(cli, progressView.parse(await cli.client().send('POST', '/reconcile', body)))
      return
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error
      const other = await read()
      if (other.check === null) throw error
      cli.deps.err(`a run (${other.kind}) is under way: it comes first`)
      await carryOn(cli, other)
    }
  }
}

/** `farebox reconcile`: every pair of books compared; findings are kept. */
export function reconcileCommands(cli: Cli): void {
  cli.program
    .command('reconcile')
    .description('compare all books; exit code 1 where something urgent is open')
    .option('--since <time>', 'only payments made since; default all')
    .option('--fix', 'put right what is provably right to put right')
    .option('--csv', 'open findings as CSV')
    .option('--costs <file>', 'compare a provider’s export of costs (CSV) with receipts, only')
    .option('--provider <name>', 'whose export: openai, anthropic, or one of reconcile.costs')
    .action((given: unknown) =>
      cli.run(async () => {
        const { since, fix, csv, costs, provider } = optionsOf(options, given)
        if (costs === undefined) await carryOut(cli, { since, fix })
        else if (provider !== undefined) await compareCostFile(cli, costs, provider)
        else throw new UsageError('--costs: name the --provider whose export it is')
        const findings = await openFindings(cli)
        show(cli, findings, csv)
        return findings.some(({ severity }) => severity === 'urgent') ? FAILED : OK
      }),
    )
}
