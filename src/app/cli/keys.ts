import type { Command } from 'commander'
import { z } from 'zod'
import { more, pageQuery } from './accounts.ts'
import { optionsOf, type Cli } from './context.ts'
import { fields, table } from './table.ts'

const key = z.object({
  id: z.string(),
  name: z.string(),
  prefix: z.string(),
  status: z.string(),
  models: z.array(z.string()).nullable(),
  budget: z.object({ credits: z.string(), period: z.string() }).nullable(),
  expires_at: z.string().nullable(),
})
const keys = z.object({ data: z.array(key), next_cursor: z.string().nullable() })
const createdKey = key.extend({ key: z.string().nullable() })

const budgetText = ({ budget }: z.output<typeof key>): string | null =>
  budget === null ? null : `${budget.credits} a ${budget.period}`

const createdText = (one: z.output<typeof createdKey>): string =>
  `${fields([
    ['id', one.id],
    ['name', one.name],
    ['key', one.key],
  ])}\n\nThe key is not shown again.`

const createOptions = z.object({
  models: z.string().optional(),
  budget: z.string().optional(),
  period: z.enum(['day', 'week', 'month', 'total']).default('total'),
  requestsPerMinute: z.coerce.number().int().optional(),
  tokensPerMinute: z.coerce.number().int().optional(),
  maxConcurrency: z.coerce.number().int().optional(),
  expires: z.string().optional(),
})

function createBody(name: string, given: unknown): object {
  const options = optionsOf(createOptions, given)
  const { budget, period, requestsPerMinute: requests, tokensPerMinute: tokens } = options
  const rate = { requests_per_minute: requests, tokens_per_minute: tokens }
  return {
    name,
    models: options.models?.split(','),
    budget: budget === undefined ? undefined : { credits: budget, period },
    rate: requests === undefined && tokens === undefined ? undefined : rate,
    max_concurrency: options.maxConcurrency,
    expires_at: options.expires,
  }
}

const claimLink = z.object({
  id: z.string(),
  name: z.string(),
  url: z.string(),
  expires_at: z.string(),
})
const claimOptions = z.object({
  claim: z.string().optional(),
  rotate: z.boolean().default(false),
  send: z.boolean().default(false),
})

function claimCommand({ run, client, show }: Cli, group: Command): void {
  group
    .command('claim <account>')
    .description('make a new link to the key of a purchase; earlier links end')
    .option('--claim <id>', 'which one, where several wait to be claimed')
    .option('--rotate', 'also where it was claimed: pressed, it gives the key a new secret')
    .option('--send', 'have the customer told as well')
    .action((account: string, given: unknown) =>
      run(async () => {
        const { claim, ...asked } = optionsOf(claimOptions, given)
        const path = `/accounts/${encodeURIComponent(account)}/claims`
        const answer = await client().send('POST', path, { ...asked, claim_id: claim })
        return show(answer, claimLink, (one) =>
          fields([
            ['claim', one.id],
            ['name', one.name],
            ['until', one.expires_at],
            ['url', one.url],
          ]),
        )
      }),
    )
}

export function keyCommands(cli: Cli): void {
  const { run } = cli
  const group = cli.program.command('keys').description('what clients call with')
  group
    .command('list <account>')
    .description('keys of an account, without their secrets')
    .option('--cursor <id>', 'go on after this key')
    .option('--limit <n>', 'rows of one page')
    .action((account: string, given: unknown) =>
      run(async () => {
        const path = `/accounts/${encodeURIComponent(account)}/keys${pageQuery(given)}`
        return cli.show(await cli.client().send('GET', path), keys, ({ data, next_cursor }) => {
          const rows = data.map((one) => [
            ...[one.id, one.name, `${one.prefix}…`, one.status],
            ...[one.models?.join(',') ?? null, budgetText(one), one.expires_at],
          ])
          const heads = ['ID', 'NAME', 'KEY', 'STATUS', 'MODELS', 'BUDGET', 'EXPIRES']
          return `${table(heads, rows)}${more(next_cursor)}`
        })
      }),
    )
  group
    .command('create <account> <name>')
    .description('create a key and show it, once')
    .option('--models <globs>', 'like "gpt-*,claude-*"; default all')
    .option('--budget <credits>')
    .option('--period <period>', 'of the budget: day, week, month, total')
    .option('--requests-per-minute <n>')
    .option('--tokens-per-minute <n>', 'input and output together')
    .option('--max-concurrency <n>')
    .option('--expires <time>', 'like 2027-01-31T00:00:00Z')
    .action((account: string, name: string, given: unknown) =>
      run(async () => {
        const path = `/accounts/${encodeURIComponent(account)}/keys`
        const answer = await cli.client().send('POST', path, createBody(name, given))
        return cli.show(answer, createdKey, createdText)
      }),
    )
  claimCommand(cli, group)
  group
    .command('rotate <id>')
    .description('give a key a new secret; the old one ends at once')
    .action((id: string) =>
      run(async () => {
        const answer = await cli.client().send('POST', `/keys/${encodeURIComponent(id)}/rotate`)
        return cli.show(answer, createdKey, createdText)
      }),
    )
  group
    .command('revoke <id>')
    .description('end a key for good')
    .action((id: string) =>
      run(async () => {
        const answer = await cli.client().send('DELETE', `/keys/${encodeURIComponent(id)}`)
        return cli.show(answer, key, (one) => `${one.id} is ${one.status}.`)
      }),
    )
}
