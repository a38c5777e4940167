import { expect } from 'vitest'
import { systemClock } from '../../src/kernel/clock.ts'
import { makeIds } from '../../src/kernel/ids.ts'
import { micros } from '../../src/kernel/money.ts'
import { makeBooks } from '../../src/ledger/ledger-books.ts'
import { checkLedger } from '../../src/ledger/checks.ts'
import { makePostingLedger } from '../../src/ledger/posting-ledger.ts'
import type { PostItem, Receipt } from '../../src/ledger/receipt.ts'
import type { GrantInput, PastCount } from '../../src/ledger/books.ts'
import type { Db } from '../../src/store/db.ts'

export const ids = makeIds(systemClock)
export const T0 = Date.UTC(2026, 0, 15, 12)
export const DAY_MS = 86_400_000

export function receipt(fields: Partial<Omit<Receipt, 'micros'>> & { micros?: number }): Receipt {
  return {
    holdId: ids.uuid(),
    rev: 2,
    accountId: 'acc',
    keyId: 'key',
    day: 20_468,
    reservedAtMs: T0,
    startedAtMs: T0,
    protocol: 'openai-chat',
    endpoint: '/v1/chat/completions',
    upstream: 'openai',
    model: 'gpt-5-mini',
    stream: false,
    estimated: false,
    usage: { input_tokens: 10, output_tokens: 5 },
    providerCostPicoUsd: '123456789012345678901',
    priceVersion: 'v1',
    httpStatus: 200,
    firstByteMs: 80,
    durationMs: 900,
    ...fields,
    micros: micros(fields.micros ?? 100),
  }
}

export const item = (
  fields: Parameters<typeof receipt>[0],
  rest: Partial<Omit<PostItem, 'receipt'>> = {},
): PostItem => ({ receipt: receipt(fields), unbacked: false, answer: null, ...rest })

export async function addAccount(db: Db, id: string, overageLimit = 0): Promise<void> {
  await db.query(
    `INSERT INTO accounts (id, name, overage_limit_micros, changed_at, created_at)
     VALUES ($1, $1, $2, $3, $3)`,
    [id, overageLimit, new Date(T0)],
  )
}

/** What came of something that had to happen. */
export function done<Outcome extends object>(outcome: Outcome | PastCount | null): Outcome {
  if (outcome === null || 'roomMicros' in outcome) throw new Error(JSON.stringify(outcome))
  return outcome
}

/** As a process has it, except that it always tries what it kept. */
export const makeLedgerOn = (db: Db) => ({
  db,
  ledger: makePostingLedger({ db, ids, pauseMax: 0 }),
  books: makeBooks({ db, ids }),
})

export const grant = (
  accountId: string,
  amount: number,
  fields: Partial<GrantInput> = {},
): GrantInput => ({
  accountId,
  micros: micros(amount),
  kind: 'paid',
  priority: 100,
  effectiveAtMs: null,
  expiresAtMs: null,
  reason: 'test',
  referenceType: 'test',
  referenceId: ids.uuid(),
  ...fields,
})

/** What write-sheets.sql makes sure of before it writes, and what to put in its place. */
const GUARDS = {
  accounts: ['FILTER (WHERE is_same)', ''],
  unposted: ['WHERE hold_id = h.id', 'WHERE false'],
} as const

/** A database on which a part of that guard is always satisfied. */
export function withoutGuard(db: Db, part: keyof typeof GUARDS): Db {
  const [check, instead] = GUARDS[part]
  const weaken = (sql: string): string => {
    if (!sql.includes('was_version')) return sql
    const weaker = sql.replace(check, instead)
    if (weaker === sql) throw new Error(`write-sheets.sql does not look at ${part} any more`)
    return weaker
  }
  return {
    ...db,
    query: (sql, params) => db.query(weaken(sql), params),
    tx: (run, options) =>
      db.tx((tx) => run({ query: (sql, params) => tx.query(weaken(sql), params) }), options),
  }
}

/** I1 and I9 hold for every account of the database. */
export async function expectSound(db: Db): Promise<void> {
  let cursor: string | null = null
  do {
    const page = await checkLedger(db, cursor, 50)
    expect(page.breaches).toEqual([])
    cursor = page.cursor
  } while (cursor !== null)
}
