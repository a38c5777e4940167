import { z } from 'zod'
import { DAY_MS } from '../../kernel/clock.ts'
import { FAILED, OK, optionsOf, UsageError, type Cli } from './context.ts'
import { table } from './table.ts'

const status = z.object({
  receipts_to_seal: z.number(),
  oldest_ms: z.number(),
  meters: z.array(
    z.object({
      event_name: z.string(),
      state: z.string(),
      reports: z.number(),
      value: z.string(),
      oldest: z.string().nullable(),
    }),
  ),
  stopped: z.array(z.object({ kind: z.string(), name: z.string(), reason: z.string() })),
})

const sent = z.object({ identifier: z.string(), at: z.string().nullable(), value: z.number() })

const compared = z.object({
  compared: z.number(),
  differences: z.array(
    z.object({
      account_id: z.string(),
      customer_id: z.string(),
      event_name: z.string(),
      hour: z.string(),
      owed: z.number(),
      accepted: z.number(),
      stripe: z.number().nullable(),
    }),
  ),
  is_complete: z.boolean(),
})

function statusText({ receipts_to_seal: open, oldest_ms: ms, ...it }: z.output<typeof status>) {
  const rows = it.meters.map((one) => [
    ...[one.event_name, one.state, one.reports, one.value, one.oldest],
  ])
  const stops = it.stopped.map(({ kind, name, reason }) => `stopped: ${kind} ${name} (${reason})`)
  const waiting = `${open} receipts to be sealed, the oldest waits ${Math.round(ms / 60_000)} min`
  const meters = rows.length === 0 ? 'No usage was reported.' : table(HEADINGS, rows)
  return [meters, waiting, ...stops].join('\n')
}
const HEADINGS = ['METER', 'STATE', 'REPORTS', 'UNITS', 'OLDEST']

function diffText({ compared: hours, differences, is_complete }: z.output<typeof compared>) {
  const end = is_complete ? '' : '\n\nThere are more: name a shorter time.'
  if (differences.length === 0) return `${hours} hours agree.${end}`
  const headings = ['HOUR', 'METER', 'ACCOUNT', 'CUSTOMER', 'OWED', 'ACCEPTED', 'STRIPE']
  const rows = differences.map((one) => [
    ...[one.hour, one.event_name, one.account_id, one.customer_id],
    ...[one.owed, one.accepted, one.stripe ?? 'no meter'],
  ])
  return `${table(headings, rows)}\n\n${hours} hours compared.${end}`
}

const diffOptions = z.object({
  from: z.string().optional(),
  to: z.string().optional(),
  account: z.string().optional(),
  meter: z.string().optional(),
})

function diffBody(given: unknown): object {
  const { from, to, account, meter } = optionsOf(diffOptions, given)
  const end = to === undefined ? Date.now() : Date.parse(to)
  const start = from === undefined ? end - DAY_MS : Date.parse(from)
  if (Number.isNaN(start) || Number.isNaN(end)) throw new UsageError('--from, --to: name a time')
  return {
    from: new Date(start).toISOString(),
    to: new Date(end).toISOString(),
    ...(account !== undefined && { account_id: account }),
    ...(meter !== undefined && { event_name: meter }),
  }
}

const REPORT = /^([0-9a-f-]{36}|farebox_[0-9a-f]{48})$/

/** `farebox meters status`, `resend`, `diff`. */
export function meterCommands({ run, program, client, show }: Cli): void {
  const meters = program.command('meters').description('usage reported to Stripe')
  meters
    .command('status')
    .description('what was told, what waits, and what Stripe does not take')
    .action(() => run(async () => show(await client().send('GET', '/meters'), status, statusText)))
  meters
    .command('resend <report>')
    .description('tell again what was refused, is late or unclear, or what no invoice bills')
    .option(
      '--now',
      'as usage of now, so that the next invoice bills it; also what Stripe took too late',
    )
    .action((id: string, given: unknown) =>
      run(async () => {
        if (!REPORT.test(id)) throw new UsageError('name a report by its id or identifier')
        const { now } = optionsOf(z.object({ now: z.boolean().default(false) }), given)
        const answer = await client().send('POST', `/meters/reports/${id}/resend`, { now })
        return show(answer, sent, ({ identifier, value }) => `${identifier}: ${value} to be sent`)
      }),
    )
  meters
    .command('diff')
    .description('compare with what Stripe says it has; exit code 1 where they differ')
    .option('--from <time>', 'default: a day before --to')
    .option('--to <time>', 'default: now')
    .option('--account <id>')
    .option('--meter <event name>')
    .action((given: unknown) =>
      run(async () => {
        const answer = await client().send('POST', '/meters/diff', diffBody(given))
        show(answer, compared, diffText)
        return compared.parse(answer).differences.length === 0 ? OK : FAILED
      }),
    )
}
