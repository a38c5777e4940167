import { createHash } from 'node:crypto'
import { DAY_MS } from '../../kernel/clock.ts'
import {
  COST_DAY_MODELS_MAX,
  COST_GROUPS_MAX,
  COST_ROWS_MAX,
  COST_SETTLED_MS,
} from '../../kernel/limits/books.ts'
import { decimalOf } from '../audit/amounts.ts'
import { readHeading, type FieldNames } from '../audit/columns.ts'
import { AuditInputError, type CsvFile } from '../audit/csv.ts'
import { makeOddities } from '../audit/tally.ts'
import { readTime } from '../audit/values.ts'
import type { CostFormat } from './config.ts'
import { modelKey, modelOfLine } from './models.ts'
import { readPico, type AmountFile } from './usd.ts'

/** Headings of OpenAI's cost page and of Anthropic's cost export, and what others call the same. */
const COST_FIELDS = {
  day: ['usage date utc', 'start time iso', 'start time', 'usage date', 'date', 'day'],
  end: ['end time iso', 'end time'],
  model: ['line item', 'model', 'model version', 'model name'],
  cost: ['amount value', 'cost usd', 'cost in usd', 'cost', 'amount', 'amount usd', 'total cost'],
  currency: ['amount currency', 'currency', 'billing currency'],
} as const satisfies FieldNames

type Field = keyof typeof COST_FIELDS

/** A day and model of an export. */
export interface CostLine {
  /** Unix day, UTC. */
  readonly day: number
  /** As the export writes it, the first of its names; '' = it names none. */
  readonly model: string
  pico: bigint
}

/** What an export says. */
export interface CostExport {
  readonly rows: number
  /** First and last Unix day of it. */
  readonly fromDay: number
  readonly toDay: number
  /** By day, in order. */
  readonly lines: readonly CostLine[]
  /** Days that cannot be compared: not over when the file was made, or not to be read. */
  readonly skipped: ReadonlySet<number>
  readonly columns: readonly { readonly field: string; readonly column: string }[]
  readonly oddities: readonly string[]
}

function columnsOf(file: CsvFile, format: CostFormat) {
  const chosen = new Map<string, string>()
  for (const [field, heading] of Object.entries(format.columns)) {
    if (typeof heading === 'string') chosen.set(field, heading)
  }
  const reading = readHeading(file, COST_FIELDS, chosen)
  for (const field of ['day', 'cost'] as const) {
    if (reading.columns[field] !== null) continue
    const found = file.heading.join(', ')
    throw new AuditInputError(
      `${file.name}: no column for ${field}. It has: ${found}. Export costs, not usage, or name ` +
        `the column in farebox.yaml: reconcile.costs.<provider>.columns.${field}`,
    )
  }
  return reading
}

/** Tells a row that was there before. Some 50 bytes a row. */
function makeSeen(name: string): (cells: readonly string[]) => boolean {
  const seen = new Set<string>()
  return (cells) => {
    const hash = createHash('sha256').update(JSON.stringify(cells)).digest('base64').slice(0, 16)
    if (seen.has(hash)) return true
    if (seen.size === COST_ROWS_MAX) {
      throw new AuditInputError(`${name} has more than ${COST_ROWS_MAX} rows: export fewer days`)
    }
    seen.add(hash)
    return false
  }
}

/** By its head: what one amount leaves open another one of the same file says. */
function amountsOf(file: CsvFile, { decimal: mark }: CostFormat, cost: number | null): AmountFile {
  const { separator, sample } = file
  const sampled = cost === null ? [] : sample.map((row) => row[cost] ?? '')
  const { decimal, sure } = decimalOf(sampled, separator)
  return { mark, separator, others: sure === null ? null : decimal }
}

interface Tally {
  readonly amounts: AmountFile
  readonly byDay: Map<number, Map<string, CostLine>>
  readonly spoiled: Set<number>
  groups: number
}

function add(tally: Tally, name: string, day: number, model: string, pico: bigint): void {
  const models = tally.byDay.get(day) ?? new Map<string, CostLine>()
  tally.byDay.set(day, models)
  const key = modelKey(model)
  const found = models.get(key)
  if (found !== undefined) {
    found.pico += pico
    return
  }
  tally.groups += 1
  if (tally.groups > COST_GROUPS_MAX || models.size === COST_DAY_MODELS_MAX) {
    throw new AuditInputError(`${name} has too many models and days: export fewer days`)
  }
  models.set(key, { day, model, pico })
}

/** Reads one row into the tally; answers what is odd about it. */
function readRow(
  tally: Tally,
  file: CsvFile,
  format: CostFormat,
  cell: (field: Field) => string,
): string | null {
  const atMs = readTime(cell('day'))
  const cost = cell('cost')
  if (atMs === null) return cost === '' ? null : 'rows without a day that can be read'
  const day = Math.floor(atMs / DAY_MS)
  const endMs = readTime(cell('end'))
  if (endMs !== null && endMs - atMs > DAY_MS) {
    throw new AuditInputError(`${file.name} has rows longer than a day: export it by day`)
  }
  if (!tally.byDay.has(day)) tally.byDay.set(day, new Map())
  // The export says that nothing was used that day.
  if (cost === '') return null
  const currency = cell('currency').toLowerCase()
  const pico = readPico(cost, tally.amounts)
  if (pico === null || (currency !== '' && currency !== 'usd')) {
    tally.spoiled.add(day)
    return pico === null ? 'costs that are no amount' : 'costs that are not in US dollars'
  }
  const line = modelOfLine(cell('model'))
  add(tally, file.name, day, format.models[cell('model')] ?? format.models[line] ?? line, pico)
  return null
}

/** Days that were not over for a while when the file was made: it has a part of them at most. */
function unfinished(fromDay: number, toDay: number, madeAtMs: number): number[] {
  const days: number[] = []
  for (
    let day = toDay;
    day >= fromDay && (day + 1) * DAY_MS + COST_SETTLED_MS > madeAtMs;
    day -= 1
  ) {
    days.push(day)
  }
  return days
}

/**
 * Reads a provider's export of costs: summed by UTC day and model, exact, in bounded memory.
 * `madeAtMs`: when the file was written. Throws AuditInputError. Source: design §6.
 */
export async function readCosts(
  file: CsvFile,
  format: CostFormat,
  madeAtMs: number,
): Promise<CostExport> {
  const { columns, used } = columnsOf(file, format)
  const oddities = makeOddities()
  const isRepeated = format.repeated_rows === 'drop' ? makeSeen(file.name) : () => false
  const amounts = amountsOf(file, format, columns.cost)
  const tally: Tally = { amounts, byDay: new Map(), spoiled: new Set(), groups: 0 }
  let rows = 0
  for await (const row of file.rows) {
    rows += 1
    const cell = (field: Field): string => {
      const at = columns[field]
      return at === null ? '' : (row[at] ?? '')
    }
    if (isRepeated(row)) {
      oddities.note('rows that repeat another one', `row ${rows + 1}`)
      continue
    }
    const odd = readRow(tally, file, format, cell)
    if (odd !== null) oddities.note(odd, `row ${rows + 1}`)
  }
  const days = [...tally.byDay.keys()].toSorted((a, b) => a - b)
  const [fromDay, toDay] = [days.at(0), days.at(-1)]
  if (fromDay === undefined || toDay === undefined) {
    throw new AuditInputError(`${file.name} has no row with a day`)
  }
  return {
    ...{ rows, fromDay, toDay, columns: used, oddities: oddities.lines() },
    lines: days.flatMap((day) => [...(tally.byDay.get(day)?.values() ?? [])]),
    skipped: new Set([...tally.spoiled, ...unfinished(fromDay, toDay, madeAtMs)]),
  }
}
