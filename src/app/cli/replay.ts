import { z } from 'zod'
import { formatCredits, micros } from '../../kernel/money.ts'
import type { Billed } from '../../reconcile/replay/compare-billed.ts'
import type { Difference } from '../../reconcile/replay/difference.ts'
import { ReplayRefusedError } from '../../reconcile/replay/begin.ts'
import type { ReplayReport } from '../../reconcile/replay/replay.ts'
import { FAILED, globalsOf, OK, optionsOf, UsageError, type Cli } from './context.ts'
import { table } from './table.ts'

const options = z.object({
  fromZero: z.literal(true, { error: 'a replay begins at nothing: say --from-zero' }),
  into: z.string(),
})

const POSTGRES = /^postgres(?:ql)?:$/

/** As --json gives it. */
const viewOf = ({ ok, copied, events, walked, compared }: ReplayReport) => ({
  ok,
  copied,
  events,
  walked,
  accounts: compared.accounts,
  sales: compared.sales,
  differences_total: compared.differencesTotal,
  differences: compared.differences.map((one) => ({
    account_id: one.accountId,
    op: one.op,
    kind: one.what,
    direction: one.direction,
    source: one.source,
    replay: one.replay,
  })),
  billed: compared.billed,
  not_from_stripe: compared.apart.map((one) => ({
    reference_type: one.referenceType,
    movement_type: one.movementType,
    entries: one.entries,
    micros: one.micros,
  })),
})

const cell = (value: Difference['source']): string | null =>
  typeof value === 'number' ? formatCredits(micros(value)) : value

/** What invoices closed, and why no more than the invoices is compared. */
const billedText = ({ invoices, entries, micros: closed }: Billed): string[] =>
  entries === 0
    ? []
    : [
        '',
        `${invoices} invoices closed ${formatCredits(closed)} credits of overage (${entries} ` +
          'entries): each must be',
        'final at Stripe and of the account’s customer. How much each closed follows from usage,',
        'which neither Stripe nor its events have, so it cannot be made again; farebox reconcile',
        'compares what Stripe was told of it with what Stripe counted (meters).',
      ]

function textOf({ copied, events, walked, compared }: ReplayReport): string {
  const lines = [
    `Copied ${copied.accounts} accounts, ${copied.checkouts} checkouts and ${copied.attempts} ` +
      `recharges as they were asked for.`,
    `Looked at what ${events.stored} stored events name (${events.looked} looks), and at ` +
      `${walked.looked} of ${walked.seen} things at Stripe that no event had led to.`,
  ]
  if (compared.apart.length > 0) {
    const rows = compared.apart.map((one) => [
      ...[one.referenceType, one.movementType, one.entries, formatCredits(one.micros)],
    ])
    lines.push('', 'Not from Stripe, and not compared:')
    lines.push(table(['REFERENCE', 'MOVEMENT', 'ENTRIES', 'CREDITS'], rows))
  }
  lines.push(...billedText(compared.billed))
  if (events.unfinished.length > 0) {
    const rows = events.unfinished.map(({ id, type, outcome }) => [id, type, outcome])
    lines.push('', 'Not looked at; run the same command again:')
    lines.push(table(['EVENT', 'TYPE', 'WHY'], rows))
  }
  lines.push('')
  if (compared.differencesTotal === 0) {
    lines.push(
      `The same ${compared.sales} sales and the same access in ${compared.accounts} accounts: ` +
        'no difference.',
    )
    return lines.join('\n')
  }
  const rows = compared.differences.map((one) => [
    ...[one.accountId, one.op, one.what, one.direction, cell(one.source), cell(one.replay)],
  ])
  lines.push(table(['ACCOUNT', 'OPERATION', 'WHAT', 'DIRECTION', 'LEDGER', 'REPLAY'], rows))
  lines.push(
    '',
    `${compared.differencesTotal} differences in ${compared.sales} sales and the access of ` +
      `${compared.accounts} accounts.`,
  )
  return lines.join('\n')
}

/** `farebox replay --from-zero --into <database>`: proves the ledger against Stripe. */
export function replayCommand(cli: Cli): void {
  const { deps, program, run } = cli
  program
    .command('replay')
    .description("rebuild Stripe's grants and clawbacks elsewhere; exit code 1 on a difference")
    .requiredOption('--from-zero', 'from an empty ledger')
    .requiredOption('--into <database url>', 'an empty database; never the one that is in use')
    .action((given: unknown) =>
      run(async () => {
        const { into } = optionsOf(options, given)
        if (!POSTGRES.test(URL.parse(into)?.protocol ?? '')) {
          throw new UsageError('--into: name a Postgres, like postgres://user@host/database')
        }
        const progress = (text: string): void => {
          deps.err(text)
        }
        const report = await deps.replay(into, progress).catch((error: unknown) => {
          throw error instanceof ReplayRefusedError ? new UsageError(error.message) : error
        })
        const isJson = globalsOf(program).json
        deps.out(isJson ? JSON.stringify(viewOf(report), null, 2) : textOf(report))
        return report.ok ? OK : FAILED
      }),
    )
}
