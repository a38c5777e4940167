import { afterAll, beforeAll, expect, test } from 'vitest'
import fc from 'fast-check'
import { recordArray } from '../../src/ledger/records.ts'
import type { Db } from '../../src/store/db.ts'
import { testDb } from '../store/databases.ts'

let own: Awaited<ReturnType<typeof testDb>>
let db: Db
beforeAll(async () => {
  own = await testDb('postgres')
  db = own.db
})
afterAll(() => own[Symbol.asyncDispose]())

const odd = fc.constantFrom(
  '',
  'NULL',
  'null',
  '{',
  '}',
  '(',
  ')',
  ',',
  '"',
  '\\',
  '\\"',
  ' a ',
  '\n',
  '{"a":"\\""}',
)
const text = fc.oneof(
  odd,
  fc.string({ unit: 'grapheme' }).filter((each) => !each.includes('\0')),
)
const integer = fc.maxSafeInteger()
const orNothing = { nil: null }
const row = fc.record({
  account_id: fc.option(text, orNothing),
  seq: fc.option(integer, orNothing),
  lot_id: fc.option(fc.uuid(), orNothing),
  line: fc.option(text, orNothing),
  movement_type: fc.option(text, orNothing),
  micros: fc.option(integer, orNothing),
  reason: fc.option(text, orNothing),
  reference_type: fc.option(text, orNothing),
  reference_id: fc.option(text, orNothing),
  op_id: fc.option(text, orNothing),
})

test('Postgres reads every field of a row as it was', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(row, { maxLength: 20 }), async (rows) => {
      const sent = recordArray(rows.map((each) => Object.values(each)))
      const [answer] = await db.query(
        "SELECT coalesce(jsonb_agg(e), '[]') AS rows FROM unnest($1::text::sheet_entry[]) e",
        [sent],
      )
      expect(answer?.rows).toEqual(rows)
    }),
    { numRuns: 200 },
  )
})

test('booleans are read as such', async () => {
  const receipt = Array.from({ length: 22 }, (_, at) =>
    at === 13 ? true : at === 14 ? false : null,
  )
  const rows = await db.query(
    'SELECT stream, estimated, late FROM unnest($1::text::sheet_receipt[])',
    [recordArray([receipt])],
  )
  expect(rows).toEqual([{ stream: true, estimated: false, late: null }])
})
