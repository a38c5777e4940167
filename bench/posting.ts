import { systemClock } from '../src/kernel/clock.ts'
import { makeIds } from '../src/kernel/ids.ts'
import { silentLog } from '../src/kernel/log.ts'
import { micros } from '../src/kernel/money.ts'
import { makeBooks } from '../src/ledger/ledger-books.ts'
import type { PostingLedger } from '../src/ledger/ledger.ts'
import { makePostingLedger } from '../src/ledger/posting-ledger.ts'
import type { PostItem } from '../src/ledger/receipt.ts'
import type { Db } from '../src/store/db.ts'
import { openPostgres } from '../src/store/postgres.ts'
import { freshDatabase } from '../test/support/stores.ts'
import { durablePostgres } from './durable.ts'
import { number, print } from './table.ts'

const BATCH = 128
const BATCHES = 200
const ACCOUNT = 'acct_bench'
const ids = makeIds(systemClock)

function item(): PostItem {
  const nowMs = Date.now()
  return {
    receipt: {
      holdId: ids.uuid(),
      rev: 2,
      accountId: ACCOUNT,
      keyId: 'key_bench',
      micros: micros(780),
      day: Math.floor(nowMs / 86_400_000),
      reservedAtMs: nowMs,
      startedAtMs: nowMs,
      protocol: 'openai-chat',
      endpoint: 'chat/completions',
      upstream: 'openai',
      model: 'gpt-4o-mini',
      stream: false,
      estimated: false,
      usage: { input_tokens: 12, output_tokens: 10 },
      providerCostPicoUsd: '7800000',
      priceVersion: 'bench',
      httpStatus: 200,
      firstByteMs: 1,
      durationMs: 2,
    },
    unbacked: false,
    answer: null,
  }
}

async function rate(ledger: PostingLedger): Promise<number> {
  const startMs = performance.now()
  for (let batch = 0; batch < BATCHES; batch++) {
    const items = Array.from({ length: BATCH }, item)
    await ledger.post(items, Date.now())
  }
  return (BATCH * BATCHES) / ((performance.now() - startMs) / 1000)
}

/** Fills usage and entries as a year of traffic of a thousand other accounts would. */
async function fill(db: Db, rows: number): Promise<void> {
  const step = 250_000
  for (let from = 0; from < rows; from += step) {
    const range = [from + 1, Math.min(rows, from + step)]
    await db.tx(
      async (tx) => {
        await tx.query(
          `INSERT INTO ledger_entries (account_id, seq, line, movement_type, micros,
             reference_type, reference_id, op_id, created_at)
           SELECT 'fill_' || g % 1000, g, 'debt', 'usage', -780, 'usage', g::text,
             '01900000-0000-7000-8000-' || lpad(g::text, 12, '0') || ':2', $3
           FROM generate_series($1::bigint, $2::bigint) g`,
          [...range, new Date(0)],
        )
        await tx.query(
          `INSERT INTO usage (hold_id, rev, account_id, key_id, version, micros, day, reserved_at,
             started_at, protocol, endpoint, upstream, model, stream, estimated, late, usage,
             provider_cost_pico_usd, price_version, posted_at)
           SELECT ('01900000-0000-7000-8000-' || lpad(g::text, 12, '0'))::uuid, 2,
             'fill_' || g % 1000, 'key', g, 780, 1, $3, $3, 'openai-chat', 'chat/completions',
             'openai', 'gpt-4o-mini', false, false, false, '{"input_tokens": 12}', 1, 'bench', $3
           FROM generate_series($1::bigint, $2::bigint) g`,
          [...range, new Date(0)],
        )
      },
      { statementMs: 600_000 },
    )
  }
  await db.query('ANALYZE ledger_entries')
  await db.query('ANALYZE usage')
}

/** Posting from an empty ledger, and with `rows` entries and receipts in it. */
export async function benchPosting(rows: number): Promise<void> {
  const postgres = await durablePostgres()
  process.env.TEST_DATABASE_URL = postgres.url
  const database = await freshDatabase()
  const db = openPostgres({ url: database.url, poolMax: 2, log: silentLog })
  try {
    await db.query(
      `INSERT INTO accounts (id, name, changed_at, created_at) VALUES ($1, $1, $2, $2)`,
      [ACCOUNT, new Date()],
    )
    const grant = { accountId: ACCOUNT, micros: micros(1e15), kind: 'paid' as const, priority: 0 }
    const times = { effectiveAtMs: null, expiresAtMs: null }
    const reference = { reason: 'bench', referenceType: 'grant', referenceId: 'bench' }
    await makeBooks({ db, ids }).grant({ ...grant, ...times, ...reference }, Date.now())
    const ledger = makePostingLedger({ db, ids })
    await rate(ledger) // warms
    const empty = await rate(ledger)
    await fill(db, rows)
    await rate(ledger)
    const full = await rate(ledger)
    print(
      `Posting, ${BATCH} receipts a transaction`,
      ['ledger', 'receipts/s'],
      [
        ['empty', number(empty, 0)],
        [`${rows} entries`, number(full, 0)],
        ['ratio empty : full', number(empty / full, 2)],
      ],
    )
  } finally {
    await db.close()
    await postgres.stop()
  }
}
