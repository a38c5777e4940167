import { DAY_MS } from '../../kernel/clock.ts'
import {
  MARGIN_GROUPS_MAX,
  MARGIN_PARTS_MAX,
  MARGIN_PART_MS_MAX,
} from '../../kernel/limits/books.ts'
import { addMicros, ZERO, type Micros } from '../../kernel/money.ts'
import type { Db, Row } from '../../store/db.ts'
import { microsOf, numberOf, textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import { leastIdAt } from '../reads.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['margin-part'])

export const MARGIN_GROUPS = ['account', 'model', 'key', 'day', 'upstream'] as const
export type MarginGroup = (typeof MARGIN_GROUPS)[number]

/** Exact sums over requests; dollars are integer pico-dollars. What they mean: design §5. */
export interface MarginSums {
  readonly requests: number
  readonly estimated: number
  /** What accounts were charged in the end, and which credits paid it. */
  readonly chargedMicros: Micros
  readonly paidMicros: Micros
  readonly includedMicros: Micros
  readonly overageMicros: Micros
  readonly promoMicros: Micros
  readonly debtMicros: Micros
  readonly reversedMicros: Micros
  /** Of requests whose provider cost is known. */
  readonly revenuePicoUsd: bigint
  readonly costPicoUsd: bigint
  /** Worth of what promo credits paid, and of what is owed: no revenue. Of all requests. */
  readonly promoPicoUsd: bigint
  readonly debtPicoUsd: bigint
  /** Charged in credits for work whose cost nobody told. */
  readonly uncostedRequests: number
  readonly uncostedPicoUsd: bigint
}

export interface MarginRow extends MarginSums {
  /** Id of an account or key, name of a model or upstream, UTC day as "2027-01-31". */
  readonly name: string
}

export interface MarginQuery {
  readonly by: MarginGroup
  /** Requests that began at or after `sinceMs` and before `untilMs`, Unix ms. */
  readonly sinceMs: number
  readonly untilMs: number
}

export interface MarginReport {
  readonly rows: readonly MarginRow[]
  readonly total: MarginSums
}

export interface Margins {
  /** 'too_many' = more groups or days than one report may have: narrow the time. */
  read(query: MarginQuery): Promise<MarginReport | 'too_many'>
}

export interface MarginsDeps {
  readonly db: Db
  /** Credits a dollar, decimal: for charges whose price version does not say. */
  readonly perUsd: () => string
}

/** Pieces of at most one UTC day, in order. */
export function partsOf(sinceMs: number, untilMs: number): { fromMs: number; toMs: number }[] {
  const parts: { fromMs: number; toMs: number }[] = []
  for (let fromMs = sinceMs; fromMs < untilMs;) {
    const toMs = Math.min((Math.floor(fromMs / DAY_MS) + 1) * DAY_MS, untilMs)
    parts.push({ fromMs, toMs })
    fromMs = toMs
  }
  return parts
}

/**
 * Revenue against provider cost, read from the receipts and the ledger: there is no second copy
 * to be kept right. A day at a time, so that no statement holds back the vacuum of busy tables.
 * Source: design §1 (both books are kept: the difference is the margin).
 */
export function makeMargins({ db, perUsd }: MarginsDeps): Margins {
  async function readPart(by: MarginGroup, fromMs: number, toMs: number): Promise<MarginRow[]> {
    const group = by === 'day' ? 'none' : by
    const ids = [leastIdAt(fromMs), leastIdAt(toMs)]
    const params = [...ids, group, perUsd(), MARGIN_GROUPS_MAX + 1]
    const rows = await db.tx((tx) => tx.query(sql['margin-part'], params), {
      statementMs: MARGIN_PART_MS_MAX,
    })
    const day = new Date(fromMs).toISOString().slice(0, 10)
    return rows.map((row) => ({ ...readSums(row), name: by === 'day' ? day : textOf(row, 'name') }))
  }

  return {
    async read({ by, sinceMs, untilMs }) {
      if ((untilMs - sinceMs) / DAY_MS > MARGIN_PARTS_MAX - 1) return 'too_many'
      const groups = new Map<string, MarginRow>()
      let total = NOTHING
      for (const { fromMs, toMs } of partsOf(sinceMs, untilMs)) {
        for (const row of await readPart(by, fromMs, toMs)) {
          const known = groups.get(row.name)
          groups.set(row.name, known === undefined ? row : { ...row, ...addSums(known, row) })
          total = addSums(total, row)
        }
        if (groups.size > MARGIN_GROUPS_MAX) return 'too_many'
      }
      return { rows: [...groups.values()], total }
    },
  }
}

export const NOTHING: MarginSums = {
  requests: 0,
  estimated: 0,
  chargedMicros: ZERO,
  paidMicros: ZERO,
  includedMicros: ZERO,
  overageMicros: ZERO,
  promoMicros: ZERO,
  debtMicros: ZERO,
  reversedMicros: ZERO,
  revenuePicoUsd: 0n,
  costPicoUsd: 0n,
  promoPicoUsd: 0n,
  debtPicoUsd: 0n,
  uncostedRequests: 0,
  uncostedPicoUsd: 0n,
}

export function addSums(a: MarginSums, b: MarginSums): MarginSums {
  return {
    requests: a.requests + b.requests,
    estimated: a.estimated + b.estimated,
    chargedMicros: addMicros(a.chargedMicros, b.chargedMicros),
    paidMicros: addMicros(a.paidMicros, b.paidMicros),
    includedMicros: addMicros(a.includedMicros, b.includedMicros),
    overageMicros: addMicros(a.overageMicros, b.overageMicros),
    promoMicros: addMicros(a.promoMicros, b.promoMicros),
    debtMicros: addMicros(a.debtMicros, b.debtMicros),
    reversedMicros: addMicros(a.reversedMicros, b.reversedMicros),
    revenuePicoUsd: a.revenuePicoUsd + b.revenuePicoUsd,
    costPicoUsd: a.costPicoUsd + b.costPicoUsd,
    promoPicoUsd: a.promoPicoUsd + b.promoPicoUsd,
    debtPicoUsd: a.debtPicoUsd + b.debtPicoUsd,
    uncostedRequests: a.uncostedRequests + b.uncostedRequests,
    uncostedPicoUsd: a.uncostedPicoUsd + b.uncostedPicoUsd,
  }
}

function readSums(row: Row): MarginSums {
  const pico = (column: string): bigint => BigInt(textOf(row, column))
  return {
    requests: numberOf(row, 'requests'),
    estimated: numberOf(row, 'estimated'),
    chargedMicros: microsOf(row, 'charged_micros'),
    paidMicros: microsOf(row, 'paid_micros'),
    includedMicros: microsOf(row, 'included_micros'),
    overageMicros: microsOf(row, 'overage_micros'),
    promoMicros: microsOf(row, 'promo_micros'),
    debtMicros: microsOf(row, 'debt_micros'),
    reversedMicros: microsOf(row, 'reversed_micros'),
    revenuePicoUsd: pico('revenue_pico_usd'),
    costPicoUsd: pico('cost_pico_usd'),
    promoPicoUsd: pico('promo_pico_usd'),
    debtPicoUsd: pico('debt_pico_usd'),
    uncostedRequests: numberOf(row, 'uncosted_requests'),
    uncostedPicoUsd: pico('uncosted_pico_usd'),
  }
}
