import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { overrideSchema, type Override } from '../../src/pricing/config.ts'
import {
  makePricesTable,
  recordVersions,
  type PricesTable,
} from '../../src/pricing/prices-table.ts'
import type { Db } from '../../src/store/db.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { ask, bookOf, priceOf, TODAY } from './support.ts'

let database: TestDb
let db: Db
let table: PricesTable

function useDatabase(kind: Db['kind']): void {
  beforeAll(async () => {
    database = await testDb(kind)
    db = database.db
    table = makePricesTable(db)
  })
  beforeEach(() => db.query('DELETE FROM prices'))
  afterAll(async () => {
    await database[Symbol.asyncDispose]()
  })
}

const cost = (model: string, usd: string): Override =>
  overrideSchema.parse({ kind: 'cost', entry: { model, input_usd_per_mtok: usd } })

describe.each(['postgres', 'pglite'] as const)('overrides in %s', (kind) => {
  useDatabase(kind)

  it('rule once they are put, in place of the one before', async () => {
    const first = await table.put(cost('gpt-4o', '1'), TODAY)
    const second = await table.put(cost('gpt-4o', '2'), TODAY + 1_000)
    await table.put(
      overrideSchema.parse({ kind: 'sell', entry: { upstream: 'openai', markup: '3' } }),
      TODAY + 2_000,
    )
    expect(await table.load()).toEqual({
      prices: [{ model: 'gpt-4o', input_usd_per_mtok: '2' }],
      sell: [{ upstream: 'openai', markup: '3' }],
    })
    expect(await table.findVersion(first.version)).toMatchObject({
      source: 'admin',
      model: 'gpt-4o',
      upstream: null,
      createdAtMs: TODAY,
      retiredAtMs: TODAY + 1_000,
    })
    expect((await table.findVersion(second.version))?.retiredAtMs).toBeNull()
  })

  it('are idempotent, and content that returns is a version of its own', async () => {
    const a = await table.put(cost('m', '1'), TODAY)
    expect(await table.put(cost('m', '1'), TODAY + 1)).toEqual(a)
    await table.put(cost('m', '2'), TODAY + 2)
    const again = await table.put(cost('m', '1'), TODAY + 3)
    expect(again.version).not.toBe(a.version)
    expect(await table.list()).toEqual([again])
  })

  it('stay one for a model however many are put at once', async () => {
    const puts = Array.from({ length: 12 }, (_, i) => table.put(cost('m', String(i)), TODAY + i))
    const stored = await Promise.all(puts)
    const active = await table.list()
    expect(active).toHaveLength(1)
    expect(stored).toContainEqual(active[0])
  })

  it('can be removed', async () => {
    await table.put(cost('m', '1'), TODAY)
    const target = { kind: 'cost', upstream: null, model: 'm' } as const
    expect(await table.remove({ ...target, upstream: 'openai' }, TODAY)).toBe(false)
    expect(await table.remove(target, TODAY + 1)).toBe(true)
    expect(await table.remove(target, TODAY + 2)).toBe(false)
    expect(await table.list()).toEqual([])
  })

  it('that cannot be read are a fault: what is below them must not rule instead', async () => {
    await db.query(
      `INSERT INTO prices (version, source, model, document, created_at)
       VALUES ('admin:bad', 'admin', 'm', '{"kind":"cost","entry":{"model":"m","x":1}}', now())`,
    )
    await expect(table.load()).rejects.toThrow('admin:bad')
  })
})

describe.each(['postgres', 'pglite'] as const)('versions in use in %s', (kind) => {
  useDatabase(kind)

  it('can be looked up from a receipt after they were recorded, from every source', async () => {
    const book = bookOf({ prices: [{ model: 'mine', input_usd_per_mtok: '1' }] })
    const overrides = await table.put(cost('theirs', '2'), TODAY).then(() => table.load())
    book.replace({ admin: overrides })
    const named = ['mine', 'theirs', 'gpt-4o'].map(
      (model) => priceOf(book, ask('openai', model)).version,
    )
    await recordVersions(table, book, TODAY)
    expect(book.unrecorded()).toEqual([])
    await table.ensureVersions(bookOf().unrecorded(), TODAY)
    const found = await Promise.all(named.map((version) => table.findVersion(version)))
    expect(found.map((row) => [row?.source, row?.upstream, row?.model])).toEqual([
      ['config', 'openai', 'mine'],
      ['admin', 'openai', 'theirs'],
      ['seed', 'openai', 'gpt-4o'],
    ])
    expect(found[1]?.document).toMatchObject({
      kind: 'resolved',
      cost_pico_usd: { prices: { input: '2000000' } },
    })
    // Versions in use are no overrides.
    expect(await table.list()).toHaveLength(1)
    expect(await table.findVersion('seed:never')).toBeNull()
  })

  it('are recorded once, by any number of gateways', async () => {
    const book = bookOf()
    priceOf(book, ask('openai', 'gpt-4o'))
    const versions = book.unrecorded()
    await Promise.all([1, 2, 3].map((n) => table.ensureVersions(versions, TODAY + n)))
    const rows = await db.query('SELECT count(*) AS n FROM prices')
    expect(rows).toEqual([{ n: 1 }])
  })
})
