import { z } from 'zod'
import { amount, optionsOf, UsageError, type Cli } from './context.ts'
import { fields, table } from './table.ts'

const text = z.string().nullable()
const view = z.object({
  entitlements: z.object({
    ...{
      state: z.string(),
      plan: text,
      blocked: text,
      rung: text,
      paid_through: text,
    },
    ...{
      models: z.array(z.string()).nullable(),
      credit_limit: amount,
      overage_limit: amount,
    },
    features: z.record(z.string(), z.union([z.boolean(), z.number()])),
    next_change_at: text,
  }),
  overrides: z.array(
    z.object({
      id: z.string(),
      patch: z.json(),
      reason: z.string(),
      expires_at: text,
    }),
  ),
})
const override = z.object({
  id: z.string(),
  expires_at: text,
  removed_at: text,
})

function viewText({ entitlements: it, overrides }: z.output<typeof view>): string {
  const head = fields([
    ['state', it.rung === null ? it.state : `${it.state} (${it.rung})`],
    ['plan', it.plan],
    ['blocked', it.blocked],
    ['features', JSON.stringify(it.features)],
    ['models', it.models?.join(',') ?? null],
    ['credit limit', it.credit_limit],
    ['overage limit', it.overage_limit],
    ['paid through', it.paid_through],
    ['next change', it.next_change_at],
  ])
  if (overrides.length === 0) return head
  const rows = overrides.map((one) => [
    ...[one.id, JSON.stringify(one.patch), one.reason, one.expires_at],
  ])
  return `${head}\n\n${table(['EXCEPTION', 'CHANGES', 'REASON', 'EXPIRES'], rows)}`
}

const overrideOptions = z.object({
  reason: z.string(),
  expires: z.string(),
  plan: z.string().optional(),
  access: z.string().optional(),
  patch: z.string().optional(),
})

function jsonOf(given: string): object {
  try {
    return z.record(z.string(), z.json()).parse(JSON.parse(given))
  } catch {
    throw new UsageError('--patch: must be a JSON object, like {"features":{"seats":9}}')
  }
}

/** `farebox entitlements show | override | end`. */
export function entitlementCommands({ run, program, client, show }: Cli): void {
  const place = (account: string): string => `/accounts/${encodeURIComponent(account)}`
  const entitlements = program
    .command('entitlements')
    .description('what an account may do, and exceptions to it')
  entitlements
    .command('show <account>')
    .description('what it may do now, and what that follows from')
    .action((id: string) =>
      run(async () => {
        const answer = await client().send('GET', `${place(id)}/entitlements`)
        return show(answer, view, viewText)
      }),
    )
  entitlements
    .command('override <account>')
    .description('comp a plan, lift a suspension or change single limits, until a day')
    .requiredOption('--reason <text>')
    .requiredOption('--expires <day>', 'like 2027-01-31')
    .option('--plan <plan>', 'as if it were paid for')
    .option('--access <access>', 'allow or suspend')
    .option('--patch <json>', 'features, models, endpoints, rates, credit_limit, overage_limit')
    .action((id: string, given: unknown) =>
      run(async () => {
        const { reason, expires, plan, access, patch } = optionsOf(overrideOptions, given)
        const more = patch === undefined ? {} : jsonOf(patch)
        const body = { ...more, reason, expires_at: expires, plan, access }
        const answer = await client().send('POST', `${place(id)}/overrides`, body)
        return show(
          answer,
          override,
          (one) => `Exception ${one.id} until ${String(one.expires_at)}.`,
        )
      }),
    )
  entitlements
    .command('end <account> <exception>')
    .description('end an exception before its time')
    .action((id: string, exception: string) =>
      run(async () => {
        const path = `${place(id)}/overrides/${encodeURIComponent(exception)}`
        const answer = await client().send('DELETE', path)
        return show(answer, override, (one) => `Exception ${one.id} has ended.`)
      }),
    )
}
