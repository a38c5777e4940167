import { z } from 'zod'
import { more, pageQuery } from './accounts.ts'
import { amount, amountOrNull, optionsOf, type Cli } from './context.ts'
import { fields, table } from './table.ts'

const lot = z.object({
  id: z.string(),
  kind: z.string(),
  state: z.string(),
  granted: amount,
  remaining: amount,
  expires_at: z.string().nullable(),
  reference_id: z.string(),
})

const entries = z.object({
  data: z.array(
    z.object({
      seq: z.number(),
      created_at: z.string().nullable(),
      movement_type: z.string(),
      amount,
      line: z.string(),
      reference_id: z.string(),
      reason: z.string().nullable(),
    }),
  ),
  next_cursor: z.string().nullable(),
})

const receipt = z.object({
  request_id: z.string(),
  status: z.string(),
  account_id: z.string(),
  model: z.string().nullable(),
  upstream: z.string().nullable(),
  cost: amount,
  held: amountOrNull,
  provider_cost_usd: z.string().nullish(),
  usage: z.record(z.string(), z.unknown()),
  started_at: z.string().nullable(),
  duration_ms: z.number().nullable(),
})

const reversal = z.object({ request_id: z.string(), reversed: amount, created: z.boolean() })

const receiptText = (one: z.output<typeof receipt>): string =>
  fields([
    ['request', one.request_id],
    ['status', one.status],
    ['account', one.account_id],
    ['model', one.model],
    ['upstream', one.upstream],
    ['cost', one.cost],
    ['held', one.held],
    ['provider cost', one.provider_cost_usd == null ? null : `$${one.provider_cost_usd}`],
    ['usage', JSON.stringify(one.usage)],
    ['started', one.started_at],
    ['took', one.duration_ms === null ? null : `${one.duration_ms} ms`],
  ])

const grantOptions = z.object({
  kind: z.enum(['promo', 'included', 'paid']).default('promo'),
  reason: z.string().default('granted by hand'),
  reference: z.string().optional(),
  expires: z.string().optional(),
  priority: z.coerce.number().int().optional(),
})

export function moneyCommands(cli: Cli): void {
  const { run, program, deps } = cli
  program
    .command('grant <account> <credits>')
    .description('grant credits, once per --reference')
    .option('--kind <kind>', 'promo, included or paid', 'promo')
    .option('--reason <text>')
    .option('--reference <id>', 'names the grant; repeat a failed command with the same one')
    .option('--expires <time>', 'like 2027-01-31T00:00:00Z')
    .option('--priority <n>', 'lower burns first')
    .action((account: string, credits: string, given: unknown) =>
      run(async () => {
        const { kind, reason, expires, priority, ...options } = optionsOf(grantOptions, given)
        const reference = options.reference ?? deps.newReference()
        // Told before it is sent: who repeats a command that got no answer needs it.
        if (options.reference === undefined) deps.err(`reference: ${reference}`)
        const body = { credits, kind, reason, reference_id: reference, priority }
        const path = `/accounts/${encodeURIComponent(account)}/grants`
        const answer = await cli.client().send('POST', path, { ...body, expires_at: expires })
        return cli.show(answer, lot, (one) =>
          fields([
            ['lot', one.id],
            ['granted', one.granted],
            ['remaining', one.remaining],
            ['kind', one.kind],
            ['expires', one.expires_at],
            ['reference', one.reference_id],
          ]),
        )
      }),
    )
  program
    .command('ledger <account>')
    .description('movements of an account, newest first')
    .option('--cursor <seq>', 'go on after this one')
    .option('--limit <n>', 'rows of one page')
    .action((account: string, given: unknown) =>
      run(async () => {
        const path = `/accounts/${encodeURIComponent(account)}/ledger${pageQuery(given)}`
        return cli.show(await cli.client().send('GET', path), entries, ({ data, next_cursor }) => {
          const rows = data.map((one) => [
            ...[one.seq, one.created_at, one.movement_type, one.amount, one.line],
            ...[one.reference_id, one.reason],
          ])
          const heads = ['SEQ', 'TIME', 'TYPE', 'CREDITS', 'LINE', 'REFERENCE', 'REASON']
          return `${table(heads, rows)}${more(next_cursor)}`
        })
      }),
    )
  receiptCommands(cli)
}

function receiptCommands({ run, program, client, show }: Cli): void {
  program
    .command('receipt <request>')
    .description('what a request cost and why')
    .option('--account <id>', 'finds it also while it is in flight')
    .action((request: string, given: unknown) =>
      run(async () => {
        const { account } = optionsOf(z.object({ account: z.string().optional() }), given)
        const query = account === undefined ? '' : `?account_id=${encodeURIComponent(account)}`
        const path = `/receipts/${encodeURIComponent(request)}${query}`
        return show(await client().send('GET', path), receipt, receiptText)
      }),
    )
  program
    .command('reverse <request>')
    .description('give back exactly what a request took')
    .requiredOption('--reason <text>')
    .action((request: string, given: unknown) =>
      run(async () => {
        const { reason } = optionsOf(z.object({ reason: z.string() }), given)
        const path = `/receipts/${encodeURIComponent(request)}/reverse`
        return show(await client().send('POST', path, { reason }), reversal, (one) =>
          one.created
            ? `Gave back ${one.reversed} credits.`
            : `Was reversed before: ${one.reversed} credits.`,
        )
      }),
    )
}
