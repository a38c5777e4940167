import { z } from 'zod'
import type { AdminClient } from './client.ts'
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
const fetched = { seen: z.number(), added: z.number() }
const report = z.object({
  ...fetched,
  objects: z.object(fetched),
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

function syncText({ seen, added, objects, more_before: more }: z.output<typeof report>): string {
  const events = `Stripe has ${seen} events of that time; ${added} had never arrived.`
  const known = `Of before its oldest event it has ${objects.seen} objects`
  const older = objects.seen === 0 ? '' : `\n${known}; ${objects.added} are looked at.`
  const rest = more === null ? '' : `\nNot all: too much within one second of ${more}.`
  return `${events}${older}${rest}`
}

/** Sync after sync until all has been seen: the server takes only so much at once. */
async function syncAll(
  client: AdminClient,
  { since, before }: z.output<typeof syncOptions>,
): Promise<z.output<typeof report>> {
  const total = { seen: 0, added: 0, objects: { seen: 0, added: 0 } }
  let until = before
  for (;;) {
    const body = { since, ...(until === undefined ? {} : { before: until }) }
    const part = report.parse(await client.send('POST', '/stripe/sync', body))
    total.seen += part.seen
    total.added += part.added
    total.objects.seen += part.objects.seen
    total.objects.added += part.objects.added
    const { more_before: more } = part
    if (more === null || more === until) return { ...total, more_before: more }
    until = more
  }
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
    .description('fetch what was never delivered: events of 30 days, objects of before')
    .requiredOption('--since <time>', 'a day or moment, like 2027-01-31T12:00:00Z')
    .option('--before <time>', 'its end, a day or moment; absent = now')
    .action((given: unknown) =>
      run(async () => {
        const asked = optionsOf(syncOptions, given)
        show(await syncAll(client(), asked), report, syncText)
        return OK
      }),
    )
}
