import { z } from 'zod'

const column = z.string().min(1).max(200)

/** How one provider's export is read, and which upstreams it bills. */
export const costFormatSchema = z.strictObject({
  upstreams: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Which upstreams it bills. Default for openai and anthropic: those at their host.'),
  columns: z
    .strictObject({
      day: column.optional().describe('A day or time, ISO 8601 or Unix; UTC where no zone is.'),
      end: column.optional().describe('Where a row ends: rows longer than a day are refused.'),
      model: column.optional(),
      cost: column.optional().describe('US dollars.'),
      currency: column.optional(),
    })
    .default({})
    .describe('Headings of the CSV. Default: as openai’s and anthropic’s exports have them.'),
  decimal: z.enum(['.', ',', 'auto']).default('auto'),
  models: z
    .record(z.string(), z.string())
    .default({})
    .describe('The export’s name of a model: the name on receipts.'),
  repeated_rows: z
    .enum(['drop', 'add'])
    .default('drop')
    .describe('Rows that are the same in every cell: one, or each of them counts.'),
})

export const costsConfigSchema = z.record(
  z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/),
  costFormatSchema,
)

export type CostFormat = z.output<typeof costFormatSchema>
export type CostsConfig = z.output<typeof costsConfigSchema>

/** Providers whose exports are known, by where their upstreams are. */
const HOSTS: Readonly<Record<string, string>> = {
  openai: 'api.openai.com',
  anthropic: 'api.anthropic.com',
}

/** Which exports can be compared. */
export interface CostBook {
  readonly providers: Readonly<
    Record<string, CostFormat & { readonly upstreams: readonly string[] }>
  >
  /** Credits of a US dollar, as a decimal. */
  readonly perUsd: string
}

export function makeCostBook(config: {
  readonly credits: { readonly per_usd: string }
  readonly upstreams: Readonly<Record<string, { readonly base_url: string }>>
  readonly reconcile: { readonly costs: CostsConfig }
}): CostBook {
  const { costs } = config.reconcile
  const at = (host: string | undefined): string[] =>
    Object.entries(config.upstreams)
      .filter(([, { base_url: url }]) => new URL(url).hostname === host)
      .map(([name]) => name)
  const names = new Set([...Object.keys(HOSTS), ...Object.keys(costs)])
  const providers = [...names].map((name) => {
    const format = costs[name] ?? costFormatSchema.parse({})
    return [name, { ...format, upstreams: format.upstreams ?? at(HOSTS[name]) }] as const
  })
  return { providers: Object.fromEntries(providers), perUsd: config.credits.per_usd }
}
