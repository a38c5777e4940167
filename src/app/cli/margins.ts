import { z } from 'zod'
import { marginAnswer } from '../../admin/margins.ts'
import { csvLine } from '../../reconcile/audit/csv-line.ts'
import { OK, optionsOf, type Cli } from './context.ts'
import { table } from './table.ts'

type Answer = z.output<typeof marginAnswer>
type Sums = Answer['total']

const options = z.object({
  by: z.string().default('account'),
  since: z.string().optional(),
  until: z.string().optional(),
  losing: z.boolean().default(false),
  csv: z.boolean().default(false),
  limit: z.string().optional(),
})

/** Dollars to the hundredth of a cent, cut: a person reads columns, a program the exact digits. */
export function short(usd: string): string {
  const [whole = '', fraction = ''] = usd.split('.')
  const cut = `${whole}.${fraction.slice(0, 4).padEnd(4, '0')}`
  return cut === '-0.0000' ? '0.0000' : cut
}

const line = (name: string, of: Sums): (string | number | null)[] => [
  ...[name, of.requests, of.charged.credits],
  ...[short(of.revenue_usd), short(of.provider_cost_usd), short(of.margin_usd)],
  ...[of.margin_percent, of.losing ? 'loses' : ''],
]

const HEADINGS = ['REQUESTS', 'CREDITS', 'REVENUE $', 'COST $', 'MARGIN $', '%', 'LOSING']

/** What a reader of the columns would else take for granted. */
function notes({ total }: Answer): string[] {
  const { promo, debt } = total.paid_by
  const apart = total.without_cost
  return [
    promo.micros > 0 && `Promo credits paid $${short(total.promo_usd)} of it: no revenue.`,
    debt.micros > 0 && `Charged and still owed: $${short(total.debt_usd)}: no revenue yet.`,
    apart.requests > 0 &&
      `Cost not known of ${apart.requests} (charged $${short(apart.revenue_usd)}): left out.`,
    total.estimated_requests > 0 && `${total.estimated_requests} requests are estimated.`,
    total.reversed.micros > 0 && `${total.reversed.credits} credits were given back.`,
  ].filter((note) => note !== false)
}

function marginText(answer: Answer): string {
  const { data, others, total, by, since, until } = answer
  const time = `${since ?? ''} to ${until ?? ''}`
  if (total.requests === 0) return `No requests from ${time}.`
  const rows = data.map(({ name, ...of }) => line(name, of))
  if (others.requests > 0) rows.push(line('(others)', others))
  rows.push(line('TOTAL', total))
  return [time, table([by.toUpperCase(), ...HEADINGS], rows), ...notes(answer)].join('\n')
}

const CSV = [
  ...['name', 'requests', 'estimated_requests', 'charged_micros', 'paid_micros'],
  ...['included_micros', 'overage_micros', 'promo_micros', 'debt_micros', 'reversed_micros'],
  ...['revenue_usd', 'provider_cost_usd', 'margin_usd', 'margin_percent', 'losing'],
  ...['promo_usd', 'debt_usd', 'without_cost_requests', 'without_cost_revenue_usd'],
]

const cells = (name: string, of: Sums): (string | number)[] => [
  ...[name, of.requests, of.estimated_requests, of.charged.micros, of.paid_by.paid.micros],
  ...[of.paid_by.included.micros, of.paid_by.overage.micros, of.paid_by.promo.micros],
  ...[of.paid_by.debt.micros, of.reversed.micros],
  ...[of.revenue_usd, of.provider_cost_usd, of.margin_usd, of.margin_percent ?? ''],
  ...[String(of.losing), of.promo_usd, of.debt_usd],
  ...[of.without_cost.requests, of.without_cost.revenue_usd],
]

/** `farebox margins`: what requests brought against what they cost. */
export function marginCommands({ program, run, client, show, deps }: Cli): void {
  program
    .command('margins')
    .description('revenue, provider cost and margin; the last 30 UTC days unless told')
    .option('--by <what>', 'account, model, key, day or upstream', 'account')
    .option('--since <time>', 'requests that began then or later, like 2027-01-31')
    .option('--until <time>', 'and before; default now')
    .option('--losing', 'only those that cost more than they bring, the worst first')
    .option('--limit <n>', 'rows at most')
    .option('--csv', 'as CSV')
    .action((given: unknown) =>
      run(async () => {
        const { csv, losing, ...asked } = optionsOf(options, given)
        const query = new URLSearchParams({ losing: String(losing) })
        for (const [name, value] of Object.entries(asked))
          if (value !== undefined) query.set(name, value)
        const answer = await client().send('GET', `/margins?${query.toString()}`)
        if (!csv) return show(answer, marginAnswer, marginText)
        const { data, others, total } = marginAnswer.parse(answer)
        deps.out(csvLine(CSV))
        for (const { name, ...of } of data) deps.out(csvLine(cells(name, of)))
        if (others.requests > 0) deps.out(csvLine(cells('(others)', others)))
        deps.out(csvLine(cells('(total)', total)))
        return OK
      }),
    )
}
