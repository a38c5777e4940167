import type { Clock } from '../../kernel/clock.ts'
import {
  BILLING_COUNTS_KEPT_MS,
  BILLING_PROCESSING_MS_MAX,
  BILLING_QUIET_MS,
  BILLING_USABLE_MS_MAX,
  BILLING_WAITING_MS_MAX,
  BILLING_WINDOW_MS,
} from '../../kernel/limits/stripe.ts'
import type { Db } from '../../store/db.ts'
import { numberOf, textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import type { Findings } from '../findings.ts'
import type { BillingHooks } from '../hooks.ts'
import { judge, RULES, type CountName } from './rules.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'add-counts',
  'read-counts',
  'drop-counts',
  'close-findings',
  'close-settled',
])

/** Counts what billing does, over all processes, and finds what operators must know. */
export interface Health {
  /** Passes on, and counts. */
  readonly hooks: BillingHooks
  /** Shares what was counted, and judges what all have. To be called often. */
  tick(): Promise<void>
}

const MINUTE_MS = 60_000
const KINDS = RULES.map(({ kind }) => kind)

/** Counts by minute, kept until they are shared. */
function makeTally(clock: Clock) {
  let counts = new Map<number, Map<CountName, number>>()
  const add = (minute: number, name: CountName, count: number): void => {
    const names = counts.get(minute) ?? new Map<CountName, number>()
    names.set(name, (names.get(name) ?? 0) + count)
    counts.set(minute, names)
  }
  return {
    count: (name: CountName) => {
      add(Math.floor(clock.now() / MINUTE_MS) * MINUTE_MS, name, 1)
    },
    /** Takes all there is, in order; `back` returns it where it could not be shared. */
    take() {
      const taken = [...counts].flatMap(([minute, names]) =>
        [...names].map(([name, count]) => ({ minute, name, count })),
      )
      counts = new Map()
      taken.sort((a, b) => a.minute - b.minute || (a.name < b.name ? -1 : 1))
      const back = (): void => {
        const keptFrom = clock.now() - BILLING_COUNTS_KEPT_MS
        for (const { minute, name, count } of taken) if (minute > keptFrom) add(minute, name, count)
      }
      return { taken, back }
    },
  }
}

function countingHooks(hooks: BillingHooks, count: (name: CountName) => void): BillingHooks {
  return {
    ...hooks,
    delivery(result) {
      count(result)
      hooks.delivery(result)
    },
    processed(result, durationMs) {
      if (durationMs !== null) {
        count('processed')
        if (durationMs > BILLING_PROCESSING_MS_MAX) count('processed_late')
      }
      hooks.processed(result, durationMs)
    },
    usable(durationMs) {
      count('usable')
      if (durationMs > BILLING_USABLE_MS_MAX) count('usable_late')
      hooks.usable(durationMs)
    },
  }
}

export function makeHealth(deps: {
  readonly db: Db
  readonly findings: Findings
  readonly hooks: BillingHooks
  readonly clock: Clock
}): Health {
  const { db, findings, clock } = deps
  const tally = makeTally(clock)

  async function share(): Promise<void> {
    const { taken, back } = tally.take()
    if (taken.length === 0) return
    const minutes = taken.map(({ minute }) => new Date(minute).toISOString())
    const [names, counts] = [taken.map(({ name }) => name), taken.map(({ count }) => count)]
    try {
      await db.query(sql['add-counts'], [minutes, names, counts])
    } catch (error) {
      back()
      throw error
    }
  }

  return {
    hooks: countingHooks(deps.hooks, tally.count),
    async tick() {
      await share()
      const nowMs = clock.now()
      const since = new Date(nowMs - BILLING_WINDOW_MS)
      const waiting = new Date(nowMs - BILLING_WAITING_MS_MAX)
      const rows = await db.query(sql['read-counts'], [since, waiting])
      const counts = rows.map((row) => [textOf(row, 'name'), numberOf(row, 'count')] as const)
      for (const finding of judge(Object.fromEntries(counts))) await findings.note(finding)
      await db.query(sql['close-findings'], [KINDS, new Date(nowMs - BILLING_QUIET_MS)])
      await db.query(sql['close-settled'])
      await db.query(sql['drop-counts'], [new Date(nowMs - BILLING_COUNTS_KEPT_MS)])
    },
  }
}
