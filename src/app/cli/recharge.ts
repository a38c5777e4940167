import { z } from 'zod'
import { amount, amountOrNull, optionsOf, UsageError, type Cli } from './context.ts'
import { fields, table } from './table.ts'

const view = z.object({
  account_id: z.string(),
  state: z.string(),
  reason: z.string().nullable(),
  pack: z.string().nullable(),
  threshold: amountOrNull,
  monthly_count: z.number().nullable(),
  monthly_amount: z.number().nullable(),
  currency: z.string().nullable(),
  payment_method: z.string().nullable(),
  not_before: z.string().nullable(),
  this_month: z.object({ attempts: z.number(), amount: z.number() }),
  attempts: z.array(
    z.object({
      id: z.string(),
      state: z.string(),
      credits: amount,
      amount: z.number().nullable(),
      failure: z.string().nullable(),
      payment_intent: z.string().nullable(),
      planned_at: z.string().nullable(),
    }),
  ),
})

function viewText(one: z.output<typeof view>): string {
  const head = fields([
    ['account', one.account_id],
    ['state', one.state],
    ['reason', one.reason],
    ['pack', one.pack],
    ['below', one.threshold],
    ['a month', one.monthly_count],
    ['money a month', one.monthly_amount],
    ['currency', one.currency],
    ['card', one.payment_method ?? "the customer's default"],
    ['not before', one.not_before],
    ['this month', `${one.this_month.attempts} for ${one.this_month.amount}`],
  ])
  if (one.attempts.length === 0) return head
  const rows = one.attempts.map((each) => [
    ...[each.planned_at, each.id, each.state, each.credits, each.amount],
    ...[each.payment_intent, each.failure],
  ])
  const headings = ['PLANNED', 'ATTEMPT', 'STATE', 'CREDITS', 'AMOUNT', 'PAYMENT', 'FAILURE']
  return `${head}\n\n${table(headings, rows)}`
}

const onOptions = z.object({
  pack: z.string(),
  below: z.string(),
  monthlyCount: z.coerce.number().int().positive().optional(),
  monthlyAmount: z.coerce.number().int().positive().optional(),
  returnUrl: z.string().optional(),
})

function pathOf(account: string): string {
  if (!/^[\w.-]+$/.test(account)) throw new UsageError('name an account')
  return `/accounts/${account}/recharge`
}

/** `farebox recharge show | on | off`. */
export function rechargeCommands({ run, program, client, show }: Cli): void {
  const recharge = program.command('recharge').description('packs bought by themselves')
  recharge
    .command('show <account>')
    .description('what an account allows, and its last attempts')
    .action((account: string) =>
      run(async () => show(await client().send('GET', pathOf(account)), view, viewText)),
    )
  recharge
    .command('on <account>')
    .description('allow recharges; forgets what a bank said of the card before')
    .requiredOption('--pack <id>')
    .requiredOption('--below <credits>', 'recharge below this balance')
    .option('--monthly-count <n>', 'recharges a calendar month (UTC)')
    .option('--monthly-amount <n>', 'smallest unit of the currency a calendar month (UTC)')
    .option('--return-url <url>', 'where the customer comes back to; default top_up_url')
    .action((account: string, given: unknown) =>
      run(async () => {
        const asked = optionsOf(onOptions, given)
        const body = {
          ...{ enabled: true, pack: asked.pack, threshold: asked.below },
          ...{ monthly_count: asked.monthlyCount, monthly_amount: asked.monthlyAmount },
          return_url: asked.returnUrl,
        }
        return show(await client().send('PUT', pathOf(account), body), view, viewText)
      }),
    )
  recharge
    .command('off <account>')
    .description('no recharges until they are allowed again')
    .action((account: string) =>
      run(async () => {
        const body = { enabled: false }
        return show(await client().send('PUT', pathOf(account), body), view, viewText)
      }),
    )
}
