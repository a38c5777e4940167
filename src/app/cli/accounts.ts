import { z } from 'zod'
import { amount, amountOrNull, optionsOf, type Cli } from './context.ts'
import { fields, table } from './table.ts'

const listed = z.object({
  data: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      subject_ref: z.string().nullable(),
      status: z.string(),
      balance: z.object({ posted: amount, debt: amount }),
    }),
  ),
  next_cursor: z.string().nullable(),
})

const account = z.object({
  id: z.string(),
  name: z.string(),
  subject_ref: z.string().nullable(),
  email: z.string().nullable(),
  status: z.string(),
  reason: z.string().nullable(),
  markup: z.string().nullable(),
  credit_limit: amount,
  balance: z.object({
    available: amountOrNull,
    held: amountOrNull,
    posted: amount,
    debt: amount,
    lots: z.array(
      z.object({
        id: z.string(),
        kind: z.string(),
        remaining: amount,
        expires_at: z.string().nullable(),
      }),
    ),
  }),
})

function accountText(one: z.output<typeof account>): string {
  const { balance } = one
  const head = fields([
    ['id', one.id],
    ['name', one.name],
    ['subject', one.subject_ref],
    ['email', one.email],
    ['status', one.reason === null ? one.status : `${one.status} (${one.reason})`],
    ['markup', one.markup],
    ['credit limit', one.credit_limit],
    ['available', balance.available],
    ['held', balance.held],
    ['posted', balance.posted],
    ['debt', balance.debt],
  ])
  if (balance.lots.length === 0) return head
  const lots = balance.lots.map((lot) => [lot.id, lot.kind, lot.remaining, lot.expires_at])
  return `${head}\n\n${table(['LOT', 'KIND', 'REMAINING', 'EXPIRES'], lots)}`
}

const listOptions = z.object({ cursor: z.string().optional(), limit: z.string().optional() })

/** Cursor and limit as a query string. */
export function pageQuery(given: unknown): string {
  const { cursor, limit } = optionsOf(listOptions, given)
  const query = new URLSearchParams()
  if (cursor !== undefined) query.set('cursor', cursor)
  if (limit !== undefined) query.set('limit', limit)
  return query.size === 0 ? '' : `?${query.toString()}`
}

export const more = (cursor: string | null): string =>
  cursor === null ? '' : `\n\nMore: --cursor ${cursor}`

const createOptions = z.object({
  id: z.string().optional(),
  subject: z.string().optional(),
  email: z.string().optional(),
  creditLimit: z.string().optional(),
  markup: z.string().optional(),
})
const changeOptions = createOptions.omit({ id: true }).extend({ name: z.string().optional() })

/** Undefined fields vanish in JSON. */
const bodyOf = (options: z.output<typeof createOptions>): object => ({
  subject_ref: options.subject,
  email: options.email,
  credit_limit: options.creditLimit,
  markup: options.markup,
})

export function accountCommands(cli: Cli): void {
  const { run } = cli
  const accounts = cli.program.command('accounts').description('who pays')
  accounts
    .command('list', { isDefault: true })
    .description('accounts with their posted balance')
    .option('--cursor <id>', 'go on after this account')
    .option('--limit <n>', 'rows of one page')
    .action((given: unknown) =>
      run(async () => {
        const answer = await cli.client().send('GET', `/accounts${pageQuery(given)}`)
        return cli.show(answer, listed, ({ data, next_cursor }) => {
          const rows = data.map((one) => [
            ...[one.id, one.name, one.subject_ref, one.status],
            ...[one.balance.posted, one.balance.debt],
          ])
          const heads = ['ID', 'NAME', 'SUBJECT', 'STATUS', 'POSTED', 'DEBT']
          return `${table(heads, rows)}${more(next_cursor)}`
        })
      }),
    )
  accounts
    .command('show <id>')
    .description('one account with its balance and lots')
    .action((id: string) =>
      run(async () => {
        const answer = await cli.client().send('GET', `/accounts/${encodeURIComponent(id)}`)
        return cli.show(answer, account, accountText)
      }),
    )
  accounts
    .command('create <name>')
    .description('create an account; the same id or subject again is the same account')
    .option('--id <id>')
    .option('--subject <ref>', 'its name in your product')
    .option('--email <email>')
    .option('--credit-limit <credits>', 'how far below zero it may go')
    .option('--markup <factor>', 'over cost, like 1.2')
    .action((name: string, given: unknown) =>
      run(async () => {
        const options = optionsOf(createOptions, given)
        const body = { name, id: options.id, ...bodyOf(options) }
        return cli.show(await cli.client().send('POST', '/accounts', body), account, accountText)
      }),
    )
  changeCommands(cli, accounts)
}

function changeCommands(cli: Cli, accounts: Cli['program']): void {
  const { run } = cli
  const change = async (id: string, body: object): Promise<number> => {
    const answer = await cli.client().send('PATCH', `/accounts/${encodeURIComponent(id)}`, body)
    return cli.show(answer, account, accountText)
  }
  accounts
    .command('set <id>')
    .description('change an account')
    .option('--name <name>')
    .option('--subject <ref>')
    .option('--email <email>')
    .option('--credit-limit <credits>')
    .option('--markup <factor>')
    .action((id: string, given: unknown) =>
      run(() => {
        const options = optionsOf(changeOptions, given)
        return change(id, { name: options.name, ...bodyOf(options) })
      }),
    )
  accounts
    .command('freeze <id>')
    .description('refuse its requests from now on')
    .requiredOption('--reason <text>')
    .action((id: string, given: unknown) =>
      run(() => {
        const { reason } = optionsOf(z.object({ reason: z.string() }), given)
        return change(id, { status: 'frozen', reason })
      }),
    )
  accounts
    .command('unfreeze <id>')
    .description('let its requests pass again')
    .action((id: string) => run(() => change(id, { status: 'active' })))
}
