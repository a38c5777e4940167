import { z } from 'zod'
import type { Clock } from '../kernel/clock.ts'
import {
  METER_CHECK_GROUPS_MAX,
  METER_KEPT_MS,
  METER_QUIET_MS,
  METER_SUMMARY_LAG_MS,
} from '../kernel/limits/meters.ts'
import type { Db, Row } from '../store/db.ts'
import { numberOf, orNull, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { MeterDirectory, StripeMeter } from './directory.ts'
import type { MeterFinding, NoteFinding } from './findings.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'take-checks',
  'drop-check',
  'told-groups',
  'refuse-named',
  'list-stops',
  'unstop-meter',
  'sent-in-hour',
  'open-differences',
  'close-difference',
  'close-told',
  'close-meters',
])

export interface CheckDeps {
  readonly db: Db
  readonly directory: MeterDirectory
  readonly note: NoteFinding
  readonly clock: Clock
}

const HOUR_S = 3_600
/** Clocks differ: what was told shortly before or after may belong to a report's time. */
const SLACK_MS = 300_000
const CHECKS_MAX = 10

const texts = z.array(z.string())

/** The reports that together are exactly what is missing, where there is no doubt which. */
function missingOf(
  told: readonly { readonly identifier: string; readonly value: number }[],
  missing: number,
): readonly string[] | null {
  const total = told.reduce((sum, { value }) => sum + value, 0)
  if (total === missing) return told.map(({ identifier }) => identifier)
  const single = told.filter(({ value }) => value === missing)
  const [only] = single
  return single.length === 1 && only !== undefined ? [only.identifier] : null
}

/** false = not yet: something of the hour was told so lately that the summaries may lack it. */
async function checkGroup(deps: CheckDeps, meter: StripeMeter, row: Row): Promise<boolean> {
  const lastMs = orNull(row, 'last_at', numberOf) ?? 0
  if (lastMs > deps.clock.now() - METER_SUMMARY_LAG_MS) return false
  const customer = textOf(row, 'customer_id')
  const hourMs = numberOf(row, 'hour_at')
  const startS = hourMs / 1000
  const sums = await deps.directory.summaries(meter.id, customer, startS, startS + HOUR_S)
  const stripe = sums.get(startS) ?? 0
  const known = numberOf(row, 'known')
  if (stripe === known) return true
  const [identifiers, values] = [texts.parse(row.identifiers), texts.parse(row.vals)]
  const told = identifiers.map((identifier, at) => ({ identifier, value: Number(values[at]) }))
  const marked = missingOf(told, known - stripe) ?? []
  await deps.db.tx(async (tx) => {
    if (marked.length > 0) {
      const notes = marked.map(() => 'missing from the summaries after an error report')
      await tx.query(sql['refuse-named'], [marked, notes])
    }
    const of = { eventName: meter.eventName, customer, hourMs }
    await deps.note(differenceOf(of, { known, stripe, marked }), tx)
  })
  return true
}

interface Hour {
  readonly eventName: string
  readonly customer: string
  readonly hourMs: number
}

const subjectOf = ({ eventName, customer, hourMs }: Hour): string =>
  `${eventName}:${customer}:${new Date(hourMs).toISOString()}`

function differenceOf(
  of: Hour,
  said: { readonly known: number; readonly stripe: number; readonly marked: readonly string[] },
): MeterFinding {
  const hour = new Date(of.hourMs).toISOString()
  const evidence = { event_name: of.eventName, customer_id: of.customer, hour, ...said }
  return { kind: 'meter_difference', severity: 'urgent', subject: subjectOf(of), evidence }
}

/** An hour that differed, and nobody knows by which reports: now and then it is looked at again. */
async function compareAgain({ db, directory, note }: CheckDeps, row: Row): Promise<void> {
  const of: Hour = {
    eventName: textOf(row, 'event_name'),
    customer: textOf(row, 'customer_id'),
    hourMs: numberOf(row, 'hour_at'),
  }
  const meter = await directory.byEvent(of.eventName)
  if (meter === null) return
  const startS = of.hourMs / 1000
  const sums = await directory.summaries(meter.id, of.customer, startS, startS + HOUR_S)
  const window = [new Date(of.hourMs), new Date((startS + HOUR_S) * 1000)]
  const [sent] = await db.query(sql['sent-in-hour'], [of.customer, of.eventName, ...window])
  const [known, stripe] = [sent === undefined ? 0 : numberOf(sent, 'value'), sums.get(startS) ?? 0]
  if (known === stripe) await db.query(sql['close-difference'], [subjectOf(of)])
  else await note(differenceOf(of, { known, stripe, marked: [] }))
}

/** Closes findings whose cause is gone, whoever ended it. */
async function closeFindings(deps: CheckDeps): Promise<void> {
  const { db, clock } = deps
  const nowMs = clock.now()
  await db.query(sql['close-told'])
  const since = [new Date(nowMs - METER_QUIET_MS), new Date(nowMs - METER_KEPT_MS)]
  await db.query(sql['close-meters'], since)
  const again = [new Date(nowMs - METER_SUMMARY_LAG_MS), CHECKS_MAX]
  for (const row of await db.query(sql['open-differences'], again)) await compareAgain(deps, row)
}

async function runOne(deps: CheckDeps, row: Row): Promise<void> {
  const eventName = textOf(row, 'event_name')
  const meter = await deps.directory.byEvent(eventName)
  let isOver = true
  if (meter !== null) {
    const from = new Date(numberOf(row, 'from_at') - SLACK_MS)
    const to = new Date(numberOf(row, 'to_at') + SLACK_MS)
    const params = [eventName, from, to, METER_CHECK_GROUPS_MAX]
    for (const group of await deps.db.query(sql['told-groups'], params)) {
      isOver = (await checkGroup(deps, meter, group)) && isOver
    }
  }
  if (isOver) await deps.db.query(sql['drop-check'], [textOf(row, 'id')])
}

/**
 * Compares the times of error reports that named only some of the refused events, and lets meters
 * go on that are active again though no event said so. Closes findings whose cause is gone. To be
 * called now and then.
 */
export function makeChecks(deps: CheckDeps) {
  const { db, directory, clock } = deps
  return async (): Promise<void> => {
    const now = new Date(clock.now())
    const again = new Date(clock.now() + METER_SUMMARY_LAG_MS)
    for (const row of await db.query(sql['take-checks'], [now, again, CHECKS_MAX])) {
      await runOne(deps, row)
    }
    for (const row of await db.query(sql['list-stops'])) {
      if (row.kind !== 'meter') continue
      const name = textOf(row, 'name')
      const meter = await directory.byEvent(name)
      if (meter?.isActive === true) await db.query(sql['unstop-meter'], [name, now])
    }
    await closeFindings(deps)
  }
}
