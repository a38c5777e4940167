import { z } from 'zod'
import { optionsOf, UsageError, type Cli } from './context.ts'
import { table } from './table.ts'

const notification = z.object({
  id: z.string(),
  kind: z.string(),
  channel: z.string(),
  account_id: z.string().nullable(),
  state: z.string(),
  attempts: z.number(),
  note: z.string().nullable(),
  created_at: z.string().nullable(),
})
const list = z.object({ data: z.array(notification), next_cursor: z.string().nullable() })

const listOptions = z.object({
  state: z.string().optional(),
  limit: z.coerce.number().int().positive().optional(),
  cursor: z.string().optional(),
})

const HEADINGS = ['CREATED', 'ID', 'KIND', 'CHANNEL', 'ACCOUNT', 'STATE', 'TRIES', 'NOTE']

const rowOf = (one: z.output<typeof notification>) => [
  ...[one.created_at, one.id, one.kind, one.channel],
  ...[one.account_id, one.state, one.attempts, one.note],
]

function listText({ data, next_cursor: next }: z.output<typeof list>): string {
  if (data.length === 0) return 'No notifications.'
  const more = next === null ? '' : `\n\nMore with --cursor ${next}`
  return `${table(HEADINGS, data.map(rowOf))}${more}`
}

/** `farebox notifications`, `farebox notifications retry`. */
export function notificationCommands({ run, program, client, show }: Cli): void {
  const notifications = program
    .command('notifications')
    .description('what was told to customers and operators, newest first')
    .option('--state <state>', 'pending, sent, skipped or dead')
    .option('--limit <rows>')
    .option('--cursor <cursor>')
    .action((given: unknown) =>
      run(async () => {
        const query = new URLSearchParams()
        for (const [name, value] of Object.entries(optionsOf(listOptions, given))) {
          query.set(name, String(value))
        }
        const answer = await client().send('GET', `/notifications?${query.toString()}`)
        return show(answer, list, listText)
      }),
    )
  notifications
    .command('retry <notification>')
    .description('send a notification again that was given up')
    .action((id: string) =>
      run(async () => {
        if (!z.uuid().safeParse(id).success) throw new UsageError('name a notification by its id')
        const answer = await client().send('POST', `/notifications/${id}/retry`)
        return show(answer, notification, (one) => table(HEADINGS, [rowOf(one)]))
      }),
    )
}
