import { afterAll, beforeAll, expect, test } from 'vitest'
import fc from 'fast-check'
import { silentLog } from '../../src/kernel/log.ts'
import { plainColumn, textColumn } from '../../src/ledger/columns.ts'
import type { Db } from '../../src/store/db.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { adminUrl } from '../support/stores.ts'

let db: Db
beforeAll(() => {
  db = openPostgres({ url: adminUrl(), poolMax: 1, log: silentLog })
})
afterAll(() => db.close())

const odd = fc.constantFrom(
  '',
  'NULL',
  'null',
  '{',
  '}',
  ',',
  '"',
  '\\',
  ' a ',
  '\n',
  '{"a":"\\""}',
)
const text = fc.oneof(
  odd,
  fc.string({ unit: 'grapheme' }).filter((each) => !each.includes('\0')),
)

test('Postgres reads every text of a column as it was', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.option(text), { maxLength: 20 }), async (texts) => {
      const [row] = await db.query('SELECT to_json($1::text::text[])::jsonb AS texts', [
        textColumn(texts, (each) => each),
      ])
      expect(row?.texts).toEqual(texts)
    }),
    { numRuns: 200 },
  )
})

test('a plain column keeps numbers, booleans and what is absent', async () => {
  const numbers = plainColumn([0, -1, Number.MAX_SAFE_INTEGER, null], (each) => each)
  const booleans = plainColumn([true, false], (each) => each)
  const [row] = await db.query(
    'SELECT to_json($1::text::bigint[])::jsonb AS n, to_json($2::text::boolean[])::jsonb AS b',
    [numbers, booleans],
  )
  expect(row).toEqual({ n: [0, -1, Number.MAX_SAFE_INTEGER, null], b: [true, false] })
})
