import type { Command } from 'commander'
import { z } from 'zod'
import { wordsOf } from '../../billing/inspect.ts'
import { ConfigError } from '../../config.ts'
import { FAILED, OK, optionsOf, UsageError, type Cli } from './context.ts'
import { table } from './table.ts'

const report = z.object({
  steps: z.array(
    z.object({
      kind: z.string(),
      name: z.string(),
      action: z.enum(['found', 'created', 'changed', 'missing', 'differs']),
      id: z.string().nullable(),
      todo: z.string(),
    }),
  ),
  environment: z.record(z.string(), z.string()),
})

const options = z.object({
  publicUrl: z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }).optional(),
  dryRun: z.boolean().default(false),
  live: z.boolean().default(false),
})

function reportText({ steps, environment }: z.output<typeof report>): string {
  const rows = steps.map((one) => [one.action, one.kind, one.name, one.id, one.todo])
  const lines = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  const list = table(['', 'WHAT', 'NAME', 'ID', 'TO DO'], rows)
  if (lines.length === 0) return list
  return `${list}\n\nPut this in the environment:\n\n${lines.join('\n')}`
}

/** `farebox stripe setup`: talks to Stripe itself, so that it can come before the first start. */
export function stripeSetupCommand(stripe: Command, { deps, run, show }: Cli): void {
  stripe
    .command('setup')
    .description('make prices, meters, webhooks and the portal for farebox.yaml, or find them')
    .option('--public-url <url>', 'where Stripe reaches this; without it no webhooks are made')
    .option('--dry-run', 'only say what is missing')
    .option('--live', 'allow a live account to be changed')
    .action((given: unknown) =>
      run(async () => {
        const { publicUrl: url = null, dryRun: isDryRun, live: isLive } = optionsOf(options, given)
        try {
          const made = await deps.setUpStripe({ url, isDryRun, isLive })
          show(made, report, reportText)
          const isDone = made.steps.every(({ action }) => action !== 'differs')
          return isDone ? OK : FAILED
        } catch (error) {
          if (error instanceof ConfigError) throw new UsageError(error.message)
          deps.err(`farebox: ${wordsOf(error)}`)
          return FAILED
        }
      }),
    )
}
