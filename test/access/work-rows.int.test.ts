import { afterAll, expect, test } from 'vitest'
import { makeWorkRows } from '../../src/access/work/rows.ts'
import { makeIds } from '../../src/kernel/ids.ts'
import { testDb } from '../store/databases.ts'

const own = await testDb('postgres')
const { db } = own
afterAll(() => own[Symbol.asyncDispose]())

const DAY_MS = 86_400_000
const NOW = Date.UTC(2027, 0, 31)
const daysAgo = (days: number): Date => new Date(NOW - days * DAY_MS)

interface Made {
  readonly state: string
  readonly made?: number
  readonly changed?: number
  readonly lapses?: number
}

/** A row whose times are days ago. */
async function add({ state, made = 40, changed = 39, lapses = 39 }: Made): Promise<string> {
  const id = makeIds({ now: () => daysAgo(made).getTime() }).uuid()
  const settled = state.startsWith('settl') ? 5 : null
  await db.query(
    `INSERT INTO work_holds (id, account_id, key_id, maker, state, micros, day, reserved_at, ttl_ms,
       lease_until, metadata, request_hash, draft, settled_micros, created_at, changed_at)
     VALUES ($1, 'a', 'k', 'client', $2, 5, 1, $3, 1000, $4, '{}', '', '{}', $5, $3, $6)`,
    [id, state, daysAgo(made), daysAgo(lapses), settled, daysAgo(changed)],
  )
  return id
}

test('holds that ended or lapsed long ago are forgotten, some at a time; others stay', async () => {
  await db.query(
    `INSERT INTO accounts (id, name, changed_at, created_at) VALUES ('a', 'a', $1, $1)`,
    [daysAgo(50)],
  )
  for (const state of ['settled', 'released', 'open']) await add({ state })
  const kept = [
    await add({ state: 'settling' }),
    await add({ state: 'releasing' }),
    await add({ state: 'settled', changed: 29 }),
    await add({ state: 'open', lapses: -1, changed: 39 }),
    await add({ state: 'open', changed: 1, lapses: 1 }),
    await add({ state: 'released', made: 2, changed: 1, lapses: 1 }),
  ]
  const rows = makeWorkRows(db)
  const count = async () => (await db.query('SELECT id FROM work_holds')).map(({ id }) => id)
  await rows.dropOld(daysAgo(30).getTime(), 2)
  expect(await count()).toHaveLength(kept.length + 1)
  await rows.dropOld(daysAgo(30).getTime(), 2)
  await rows.dropOld(daysAgo(30).getTime(), 2)
  expect((await count()).sort()).toEqual([...kept].sort())
})
