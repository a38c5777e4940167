import { z } from 'zod'
import { more, pageQuery } from './accounts.ts'
import { optionsOf, type Cli } from './context.ts'
import {
  creditsCell,
  evidence,
  evidenceCell,
  findingDetail,
  findingText,
  timeCell,
} from './evidence.ts'
import { table } from './table.ts'

const adjustment = z.object({
  credits: z.string(),
  account_id: z.string(),
  reference_id: z.string(),
  created: z.boolean(),
})

const findings = z.object({
  data: z.array(
    z.object({
      id: z.string(),
      kind: z.string(),
      severity: z.string(),
      subject: z.string(),
      state: z.string(),
      first_seen: z.string().nullable(),
      last_seen: z.string().nullable(),
      at_stake_micros: z.number().nullable(),
      evidence,
    }),
  ),
  next_cursor: z.string().nullable(),
})

const HEADINGS = [
  ...['FIRST SEEN', 'LAST SEEN', 'SEVERITY', 'KIND', 'SUBJECT', 'STATE', 'CREDITS', 'ID'],
  'EVIDENCE',
]

const adjustOptions = z.object({ reason: z.string(), reference: z.string().optional() })
const explainOptions = z.object({ note: z.string(), until: z.string().optional() })
const explained = z.object({ kind: z.string(), subject: z.string() })
const findingOptions = z.object({ state: z.string().optional() })

/** `farebox adjust`, `farebox findings`: what a person puts right, and what waits for one. */
export function correctionCommands(cli: Cli): void {
  adjustCommand(cli)
  findingsCommands(cli)
}

function adjustCommand({ run, program, deps, client, show }: Cli): void {
  program
    .command('adjust <account> <credits>')
    .description('move credits by hand, up or down (-5), once per --reference')
    .allowUnknownOption()
    .requiredOption('--reason <text>')
    .option('--reference <id>', 'names it; repeat a failed command with the same one')
    .action((account: string, credits: string, given: unknown) =>
      run(async () => {
        const { reason, ...options } = optionsOf(adjustOptions, given)
        const reference = options.reference ?? deps.newReference()
        // Told before it is sent: who repeats a command that got no answer needs it.
        if (options.reference === undefined) deps.err(`reference: ${reference}`)
        const path = `/accounts/${encodeURIComponent(account)}/adjustments`
        const body = { credits, reason, reference_id: reference }
        return show(await client().send('POST', path, body), adjustment, (one) =>
          one.created
            ? `Moved ${one.credits} credits.`
            : `Was done before: ${one.credits} credits (${one.reference_id}).`,
        )
      }),
    )
}

function findingsCommands({ run, program, client, show }: Cli): void {
  const findingsCommand = program
    .command('findings')
    .description('what needs a person, newest first')
    .option('--state <state>', 'open, explained, fixed, gone or any')
    .option('--limit <rows>')
    .option('--cursor <cursor>')
    .action((given: unknown) =>
      run(async () => {
        const { state } = optionsOf(findingOptions, given)
        const page = pageQuery(given)
        const filter = state === undefined ? '' : `${page === '' ? '?' : '&'}state=${state}`
        const answer = await client().send('GET', `/findings${page}${filter}`)
        return show(answer, findings, ({ data, next_cursor: next }) => {
          if (data.length === 0) return 'No findings.'
          const rows = data.map((one) => [
            ...[timeCell(one.first_seen), timeCell(one.last_seen), one.severity, one.kind],
            ...[one.subject, one.state, creditsCell(one.at_stake_micros), one.id],
            evidenceCell(one.evidence),
          ])
          return `${table(HEADINGS, rows)}${more(next)}`
        })
      }),
    )
  findingsCommand
    .command('show <id>')
    .description('one finding with all its evidence')
    .action((id: string) =>
      run(async () => {
        const answer = await client().send('GET', `/findings/${encodeURIComponent(id)}`)
        return show(answer, findingDetail, findingText)
      }),
    )
  findingsCommand
    .command('explain <id>')
    .description('let a finding stand, with the reason')
    .requiredOption('--note <text>')
    .option('--until <time>', 'it is open again after this, unless its cause is gone')
    .action((id: string, given: unknown) =>
      run(async () => {
        const body = optionsOf(explainOptions, given)
        const path = `/findings/${encodeURIComponent(id)}/explain`
        return show(await client().send('POST', path, body), explained, (one) => {
          return `Explained ${one.kind} of ${one.subject}.`
        })
      }),
    )
}
