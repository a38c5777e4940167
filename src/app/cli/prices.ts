import { z } from 'zod'
import { optionsOf, UsageError, type Cli } from './context.ts'
import { fields, table } from './table.ts'

const list = z.object({
  data: z.array(
    z.looseObject({
      kind: z.string(),
      source: z.string(),
      upstream: z.string().nullish(),
      model: z.string(),
    }),
  ),
})

const explanation = z.object({
  upstream: z.string(),
  model: z.string(),
  version: z.string(),
  source: z.string(),
  model_pattern: z.string(),
  sell_source: z.string(),
  markup: z.string(),
  bands: z.array(
    z.object({
      above_input_tokens: z.number().nullable(),
      cost: z.record(z.string(), z.string()),
      sell: z.record(z.string(), z.string()),
    }),
  ),
})

function explanationText(one: z.output<typeof explanation>): string {
  const head = fields([
    ['upstream', one.upstream],
    ['model', one.model],
    ['rules', `${one.source} (${one.model_pattern})`],
    ['sold by', one.sell_source],
    ['markup', one.markup],
    ['version', one.version],
  ])
  const rows = one.bands.flatMap((band) =>
    [band.cost, band.sell].flatMap((prices) =>
      Object.entries(prices).map(([unit, price]) => [band.above_input_tokens, unit, price]),
    ),
  )
  return `${head}\n\n${table(['ABOVE', 'UNIT', 'PRICE'], rows)}`
}

const whichOptions = z.object({ upstream: z.string().optional(), model: z.string().optional() })

export function priceCommands({ run, program, client, show }: Cli): void {
  program
    .command('prices')
    .description('which prices rule: admin over config over the built-in catalogue')
    .option('--upstream <name>')
    .option('--model <name>', 'with --upstream: what one model costs, and why')
    .option('--put <json>', 'override: {"kind":"cost","entry":{"model":…}}')
    .action((given: unknown) =>
      run(async () => {
        const { put } = optionsOf(z.object({ put: z.string().optional() }), given)
        if (put !== undefined) {
          const answer = await client().send('PUT', '/prices', overrideOf(put))
          return show(answer, z.object({ version: z.string() }), ({ version }) => version)
        }
        const { upstream, model } = optionsOf(whichOptions, given)
        if (upstream === undefined || model === undefined) {
          if (upstream !== model) throw new UsageError('name --upstream and --model, or neither')
          return show(await client().send('GET', '/prices'), list, ({ data }) => {
            const rows = data.map((one) => [one.kind, one.source, one.upstream ?? '*', one.model])
            return table(['KIND', 'SOURCE', 'UPSTREAM', 'MODEL'], rows)
          })
        }
        const query = new URLSearchParams({ upstream, model }).toString()
        return show(await client().send('GET', `/prices?${query}`), explanation, explanationText)
      }),
    )
}

function overrideOf(text: string): object {
  try {
    return z.looseObject({}).parse(JSON.parse(text))
  } catch {
    throw new UsageError('--put takes a JSON object in quotes')
  }
}
