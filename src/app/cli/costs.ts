import { stat } from 'node:fs/promises'
import { costFormatView, costsView } from '../../admin/routes/costs.ts'
import { COST_DAYS_MAX, COST_DAY_MODELS_MAX } from '../../kernel/limits/books.ts'
import { AuditInputError, openCsv } from '../../reconcile/audit/csv.ts'
import { readCosts, type CostExport, type CostLine } from '../../reconcile/costs/read.ts'
import { UsageError, type Cli } from './context.ts'

interface Part {
  readonly fromDay: number
  toDay: number
  readonly lines: CostLine[]
}

/** Whole days, as many as one request takes. */
function partsOf({ fromDay, toDay, lines }: CostExport): Part[] {
  const byDay = Map.groupBy(lines, ({ day }) => day)
  const parts: Part[] = []
  for (let day = fromDay; day <= toDay; day += 1) {
    const ofDay = byDay.get(day) ?? []
    const last = parts.at(-1)
    if (
      last !== undefined &&
      day - last.fromDay < COST_DAYS_MAX &&
      last.lines.length + ofDay.length <= COST_DAY_MODELS_MAX
    ) {
      last.lines.push(...ofDay)
      last.toDay = day
    } else {
      parts.push({ fromDay: day, toDay: day, lines: [...ofDay] })
    }
  }
  return parts
}

function readingText(path: string, read: CostExport): string {
  const used = read.columns.map(({ field, column }) => `${field} = "${column}"`).join(', ')
  return [`${path}: ${read.rows} rows; ${used}`, ...read.oddities].join('\n')
}

/**
 * Compares an export of a provider's costs with the receipts of the running server, part by part,
 * told as it goes. What differs becomes findings there.
 */
export async function compareCostFile(
  { client, deps }: Cli,
  path: string,
  provider: string,
): Promise<void> {
  const at = `/reconcile/costs/${encodeURIComponent(provider)}`
  const format = costFormatView.parse(await client().send('GET', at))
  const read = await readFile(path, format)
  deps.err(readingText(path, read))
  let [days, found] = [0, 0]
  for (const { fromDay, toDay, lines } of partsOf(read)) {
    const body = {
      ...{ from_day: fromDay, to_day: toDay },
      skipped: [...read.skipped].filter((day) => day >= fromDay && day <= toDay),
      lines: lines.map(({ day, model, pico }) => ({ day, model, pico: String(pico) })),
    }
    const answer = costsView.parse(await client().send('POST', at, body))
    days += answer.days
    found += answer.found.length
    deps.err(`${days} days compared, ${found} differences`)
  }
  const rest = read.toDay - read.fromDay + 1 - days
  if (rest > 0) deps.err(`${rest} days not judged: not over when the file was made, or unreadable`)
}

async function readFile(path: string, format: Parameters<typeof readCosts>[1]) {
  try {
    const file = await openCsv(path)
    return await readCosts(file, format, (await stat(path)).mtimeMs)
  } catch (error) {
    throw error instanceof AuditInputError ? new UsageError(error.message) : error
  }
}
