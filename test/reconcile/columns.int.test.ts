import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FIELD_PAIRS } from '../../src/reconcile/check-fields.ts'
import { DRIFT_KINDS } from '../../src/reconcile/drift.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { COLUMNS, type Classes } from './columns.ts'

let own: TestDb
beforeAll(async () => {
  own = await testDb('postgres', 2)
})
afterAll(() => own[Symbol.asyncDispose]())

const names = (text: string): string[] => text.trim().split(/\s+/)

/** Each column with its class, as often as it is named. */
const classified = ({ source = '', copies = {}, apart = {} }: Classes): string[] => [
  ...(source === '' ? [] : names(source)),
  ...Object.keys(copies),
  ...Object.keys(apart).flatMap(names),
]

/** Tables and columns as they are. */
async function columns(): Promise<Map<string, string[]>> {
  const rows = await own.db.query(
    `SELECT c.table_name AS t, c.column_name AS c FROM information_schema.columns c
     JOIN information_schema.tables USING (table_schema, table_name)
     WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`,
  )
  const found = new Map<string, string[]>()
  for (const row of rows) {
    const table = String(row.t)
    found.set(table, [...(found.get(table) ?? []), String(row.c)])
  }
  return found
}

const lacking = (found: ReadonlyMap<string, readonly string[]>): string[] =>
  [...found].flatMap(([table, all]) => {
    const known = new Set(classified(COLUMNS[table] ?? {}))
    return all.filter((column) => !known.has(column)).map((column) => `${table}.${column}`)
  })

describe('every column of every table', () => {
  test('is the source of what it says, a copy that is compared, or explained', async () => {
    const found = await columns()
    expect(found.size).toBeGreaterThan(40)
    // New here? Say in columns.ts what it is; a copy needs a comparison that finds it differ.
    expect(lacking(found)).toEqual([])
  })

  test('has one class, and none is classified that is not there', async () => {
    const found = await columns()
    for (const [table, classes] of Object.entries(COLUMNS)) {
      expect(classified(classes).toSorted(), table).toEqual((found.get(table) ?? []).toSorted())
    }
  })

  test('that is a copy is compared by what exists, and what is explained has a reason', () => {
    const known = new Set<string>([...DRIFT_KINDS, ...FIELD_PAIRS, 'fields-lot-expiry'])
    for (const { copies = {}, apart = {} } of Object.values(COLUMNS)) {
      for (const by of Object.values(copies)) expect(known).toContain(by)
      for (const reason of Object.values(apart)) expect(reason.length).toBeGreaterThan(10)
    }
  })

  test('every pair of fields is about some column', () => {
    const used = new Set(Object.values(COLUMNS).flatMap(({ copies = {} }) => Object.values(copies)))
    expect(FIELD_PAIRS.filter((pair) => !used.has(pair))).toEqual([])
  })

  test('that is new and in no class is told', async () => {
    const found = await columns()
    found.set('accounts', [...(found.get('accounts') ?? []), 'balance_again'])
    found.set('copies', ['id'])
    expect(lacking(found)).toEqual(['accounts.balance_again', 'copies.id'])
  })
})
