import { z } from 'zod'
import { OK, optionsOf, UsageError, type Cli } from './context.ts'
import { stripeSetupCommand } from './stripe-setup.ts'
import { table } from './table.ts'

const event = z.object({
  id: z.string(),
  type: z.string(),
  object_id: z.string().nullable(),
  state: z.string(),
  outcome: z.string().nullable(),
  attempts: z.number(),
  deliveries: z.number(),
  received_at: z.string().nullable(),
})
const list = z.object({ data: z.array(event), next_cursor: z.string().nullable() })
const report = z.object({
  seen: z.number(),
  added: z.number(),
  more_before: z.string().nullable(),
})

const listOptions = z.object({
  state: z.string().optional(),
  type: z.string().optional(),
  limit: z.coerce.number().int().positive().optional(),
  cursor: z.string().optional(),
})

const rowOf = (one: z.output<typeof event>) => [
  ...[one.received_at, one.id, one.type, one.object_id],
  ...[one.state, one.attempts, one.deliveries, one.outcome],
]

const HEADINGS = ['RECEIVED', 'ID', 'TYPE', 'OBJECT', 'STATE', 'TRIES', 'DELIVERED', 'OUTCOME']

function listText({ data, next_cursor: next }: z.output<typeof list>): string {
  if (data.length === 0) return 'No events.'
  const more = next === null ? '' : `\n\nMore with --cursor ${next}`
  return `${table(HEADINGS, data.map(rowOf))}${more}`
}

function queryOf(given: z.output<typeof listOptions>): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(given)) query.set(name, String(value))
  return query.toString()
}

const syncOptions = z.object({
  since: z.string({ error: 'name a time, like 2027-01-31' }),
  before: z.string().optional(),
})

function syncText({ seen, added, more_before: more }: z.output<typeof report>): string {
  const rest = more === null ? '' : `\nNot all: Stripe has older ones. Go on with --before ${more}`
  return `Stripe has ${seen} events of that time; ${added} had never arrived.${rest}`
}

/** `farebox stripe setup | events | replay | sync`. */
export function stripeCommands(cli: Cli): void {
  const { run, program, client, show } = cli
  const stripe = program.command('stripe').description('events and set-up of Stripe')
  stripeSetupCommand(stripe, cli)
  stripe
    .command('events')
    .description('events as they arrived, newest first')
    .option('--state <state>', 'pending, done, ignored or dead')
    .option('--type <type>')
    .option('--limit <rows>')
    .option('--cursor <cursor>')
    .action((given: unknown) =>
      run(async () => {
        const query = queryOf(optionsOf(listOptions, given))
        return show(await client().send('GET', `/stripe/events?${query}`), list, listText)
      }),
    )
  stripe
    .command('replay <event>')
    .description('work an event off again: what it names is looked at as it is now')
    .action((id: string) =>
      run(async () => {
        if (!/^\w+$/.test(id)) throw new UsageError('name an event, like evt_…')
        const answer = await client().send('POST', `/stripe/events/${id}/replay`)
        return show(answer, event, (one) => table(HEADINGS, [rowOf(one)]))
      }),
    )
  stripe
    .command('sync')
    .description('fetch events that were never delivered (Stripe keeps 30 days)')
    .requiredOption('--since <time>', 'a day or moment, like 2027-01-31T12:00:00Z')
    .option('--before <time>', 'where an earlier sync came to; absent = now')
    .action((given: unknown) =>
      run(async () => {
        const body = optionsOf(syncOptions, given)
        show(await client().send('POST', '/stripe/sync', body), report, syncText)
        return OK
      }),
    )
}
