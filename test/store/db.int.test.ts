import { afterAll, describe, expect, test } from 'vitest'
import { UnknownOutcomeError } from '../../src/kernel/errors.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { sqlState, StoreAwayError } from '../../src/store/errors.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { DEAD_PORT } from '../support/servers.ts'
import { until } from '../support/until.ts'
import { testDb } from './databases.ts'

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no error',
    (error: unknown) => error,
  )

describe.each(['postgres', 'pglite'] as const)('%s', async (kind) => {
  const own = await testDb(kind)
  const { db } = own
  afterAll(() => own[Symbol.asyncDispose]())

  test('column types arrive as documented', async () => {
    const [row] = await db.query(
      `SELECT $1::int8 AS int8, $2::numeric AS numeric, $3::timestamptz AS at, $4::jsonb AS jsonb,
              $5::uuid AS uuid, $6::bytea AS bytea, $7::text[] AS texts, $8::boolean AS flag,
              $9::int AS int4, NULL::int8 AS nothing`,
      [
        Number.MAX_SAFE_INTEGER,
        '12345678901234567890.5',
        new Date(1_795_234_706_123),
        '{"a":[1,"x"]}',
        '019a0000-0000-7000-8000-000000000001',
        new Uint8Array([0, 255, 7]),
        ['a', 'b "c", {d}\\'],
        true,
        -7,
      ],
    )
    expect({ ...row, bytea: [...(row?.bytea as Uint8Array)] }).toEqual({
      int8: Number.MAX_SAFE_INTEGER,
      numeric: '12345678901234567890.5',
      at: 1_795_234_706_123,
      jsonb: { a: [1, 'x'] },
      uuid: '019a0000-0000-7000-8000-000000000001',
      bytea: [0, 255, 7],
      texts: ['a', 'b "c", {d}\\'],
      flag: true,
      int4: -7,
      nothing: null,
    })
  })

  test('an int8 that a number cannot hold is refused, not rounded', async () => {
    await expect(db.query('SELECT 9007199254740993::int8 AS n', [])).rejects.toThrow(/int8 beyond/)
    expect(await db.query('SELECT 1 AS n', [])).toEqual([{ n: 1 }])
  })

  test('a thrown error rolls back and comes out as it is', async () => {
    const mine = new Error('mine')
    const run = db.tx(async (tx) => {
      await tx.query("INSERT INTO settings VALUES ('gone', 'x')", [])
      throw mine
    })
    expect(await failure(run)).toBe(mine)
    expect(await db.query("SELECT * FROM settings WHERE name = 'gone'", [])).toEqual([])
  })

  test('what Postgres refuses keeps its SQLSTATE, and the connection stays usable', async () => {
    const doubled = db.tx(async (tx) => {
      await tx.query("INSERT INTO settings VALUES ('twice', 'x')", [])
      await tx.query("INSERT INTO settings VALUES ('twice', 'y')", [])
    })
    expect(sqlState(await failure(doubled))).toBe('23505')
    expect(sqlState(await failure(db.query('SELECT 1/$1::int', [0])))).toBe('22012')
    expect(await db.query("SELECT * FROM settings WHERE name = 'twice'", [])).toEqual([])
  })

  test('a transaction whose failed statement was swallowed does not pass for committed', async () => {
    const run = db.tx(async (tx) => {
      await tx.query("INSERT INTO settings VALUES ('half', 'x')", [])
      await failure(tx.query('SELECT 1/$1::int', [0]))
    })
    expect(await failure(run)).toBeInstanceOf(Error)
    expect(await db.query("SELECT * FROM settings WHERE name = 'half'", [])).toEqual([])
  })

  test('statements that nobody waited for are part of the transaction', async () => {
    const insert = "INSERT INTO settings VALUES ($1, 'x')"
    await db.tx(async (tx) => {
      await tx.query(insert, ['waited'])
      void tx.query(insert, ['not waited'])
    })
    const names = "SELECT name FROM settings WHERE name LIKE '%waited' ORDER BY name"
    expect(await db.query(names, [])).toEqual([{ name: 'not waited' }, { name: 'waited' }])
    const run = db.tx(async (tx) => {
      await tx.query(insert, ['undone, waited'])
      void tx.query(insert, ['waited'])
      void tx.query(insert, ['also undone, waited'])
    })
    expect(await failure(run)).toMatchObject({ code: '23505' })
    expect(await db.query(names, [])).toHaveLength(2)
  })

  test('transactions started together do not mix', async () => {
    await db.query("INSERT INTO settings VALUES ('n', '0') ON CONFLICT (name) DO NOTHING", [])
    const add = () =>
      db.tx(async (tx) => {
        const [row] = await tx.query("SELECT value FROM settings WHERE name = 'n' FOR UPDATE", [])
        await tx.query("UPDATE settings SET value = $1 WHERE name = 'n'", [
          String(Number(row?.value) + 1),
        ])
      })
    await Promise.all(Array.from({ length: 20 }, add))
    expect(await db.query("SELECT value FROM settings WHERE name = 'n'", [])).toEqual([
      { value: '20' },
    ])
  })
})

test('of statements sent together the one that failed first is told, whichever is awaited', async () => {
  await using own = await testDb('postgres')
  const error = await failure(
    own.db.tx(async (tx) => {
      void tx.query('SELECT 1 / $1::int AS n', [0])
      await tx.query('SELECT $1::int AS n', [1])
    }),
  )
  expect(sqlState(error)).toBe('22012')
  expect(await own.db.query('SELECT $1::int AS n', [1])).toEqual([{ n: 1 }])
})

describe('a Postgres connection that breaks', async () => {
  const own = await testDb('postgres')
  const { db } = own
  afterAll(() => own[Symbol.asyncDispose]())
  const kill = (pid: unknown) => db.query('SELECT pg_terminate_backend($1)', [Number(pid)])
  const ownPid = 'SELECT pg_backend_pid() AS pid'

  test('before COMMIT: nothing happened, and it says so', async () => {
    const run = db.tx(async (tx) => {
      await tx.query("INSERT INTO settings VALUES ('cut', 'x')", [])
      const [row] = await tx.query(ownPid, [])
      await kill(row?.pid)
      await tx.query('SELECT 1', [])
    })
    expect(await failure(run)).toBeInstanceOf(StoreAwayError)
    expect(await db.query("SELECT * FROM settings WHERE name = 'cut'", [])).toEqual([])
  })

  test('while COMMIT runs: the outcome is unknown', async () => {
    // A deferred trigger holds the COMMIT until its backend is killed.
    await db.query(`
      CREATE TABLE slow (n int);
      CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(120); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON slow
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()`)
    let pid: unknown
    const run = db.tx(async (tx) => {
      pid = (await tx.query(ownPid, []))[0]?.pid
      await tx.query('INSERT INTO slow VALUES (1)', [])
    })
    const failed = failure(run)
    const activity = () =>
      db.query('SELECT query, wait_event FROM pg_stat_activity WHERE pid = $1', [Number(pid)])
    await expect.poll(activity).toEqual([{ query: 'COMMIT', wait_event: 'PgSleep' }])
    await kill(pid)
    expect(await failed).toBeInstanceOf(UnknownOutcomeError)
  })

  test('while a statement runs that COMMIT follows: the outcome is unknown', async () => {
    let pid: unknown
    const run = db.tx(async (tx) => {
      pid = (await tx.query(ownPid, []))[0]?.pid
      void tx.query('SELECT pg_sleep(120)', [])
    })
    const failed = failure(run)
    const activity = () =>
      db.query('SELECT wait_event FROM pg_stat_activity WHERE pid = $1', [Number(pid)])
    await expect.poll(activity).toEqual([{ wait_event: 'PgSleep' }])
    await kill(pid)
    expect(await failed).toBeInstanceOf(UnknownOutcomeError)
  })

  test('during a statement of its own: the outcome is unknown', async () => {
    const sleeping = failure(db.query('SELECT pg_sleep(120), $1::text', ['find me']))
    const find = async () =>
      (
        await db.query(
          `SELECT pid FROM pg_stat_activity
           WHERE query LIKE 'SELECT pg_sleep(120), $1%' AND state = 'active'`,
          [],
        )
      )[0]?.pid
    await expect.poll(find).toBeTypeOf('number')
    await kill(await find())
    expect(await sleeping).toBeInstanceOf(UnknownOutcomeError)
  })

  test('a server that is not there is away', async () => {
    const url = `postgres://postgres@127.0.0.1:${DEAD_PORT}/none`
    const away = openPostgres({ url, poolMax: 1, log: silentLog })
    expect(await failure(away.query('SELECT 1', []))).toBeInstanceOf(StoreAwayError)
    expect(await failure(away.tx(() => Promise.resolve()))).toBeInstanceOf(StoreAwayError)
    await away.close()
  })

  test('a pool with no free connection refuses in time', async () => {
    const url = own.url ?? ''
    const small = openPostgres({ url, poolMax: 1, connectMs: 1_000, log: silentLog })
    // To connect may itself take longer than that, where the machine does much else.
    const refused = await until(() =>
      small.tx(async (tx) => {
        await tx.query('SELECT 1', [])
        return failure(small.query('SELECT 1', []))
      }),
    )
    expect(refused).toBeInstanceOf(StoreAwayError)
    await small.close()
  })

  test('a statement past its bound is cancelled and undone', async () => {
    const small = openPostgres({ url: own.url ?? '', poolMax: 1, statementMs: 200, log: silentLog })
    const slow = () => failure(small.tx((tx) => tx.query('SELECT pg_sleep($1)', [60])))
    await expect.poll(async () => sqlState(await slow())).toBe('57014')
    await expect.poll(() => small.query('SELECT 1 AS n', [])).toEqual([{ n: 1 }])
    await small.close()
  })

  test('so is one outside a transaction, on the server too', async () => {
    const small = openPostgres({ url: own.url ?? '', poolMax: 1, statementMs: 500, log: silentLog })
    const slow = () => failure(small.query('SELECT pg_sleep($1), $2::text', [120, 'runaway']))
    await expect.poll(async () => sqlState(await slow())).toBe('57014')
    const left = () =>
      db.query(
        `SELECT pid FROM pg_stat_activity
         WHERE query LIKE 'SELECT pg_sleep($1), $2::text%' AND state = 'active'`,
        [],
      )
    await expect.poll(left).toEqual([])
    // The next one has a connection that nothing can be cancelled on any more.
    await expect.poll(() => small.query('SELECT 1 AS n', [])).toEqual([{ n: 1 }])
    await small.close()
  })

  test('a column added meanwhile, as by a newer release, stops no statement', async () => {
    const small = openPostgres({ url: own.url ?? '', poolMax: 1, log: silentLog })
    await small.query('CREATE TABLE grows (id int); INSERT INTO grows VALUES (1)')
    const texts = [
      'SELECT * FROM grows WHERE id = $1',
      'SELECT g.id AS a, g.* FROM grows g WHERE id = $1',
      'WITH one AS (SELECT * FROM grows) SELECT one.* FROM one WHERE id = $1',
      'UPDATE grows SET id = id WHERE id = $1 RETURNING *',
      'SELECT id FROM (SELECT * FROM grows) g WHERE id = $1',
    ]
    for (const column of ['x', 'y']) {
      for (const text of texts) {
        for (const one of [small, { query: inTx }]) {
          expect(await one.query(text, [1])).toMatchObject([{ id: 1 }])
        }
      }
      await small.query(`ALTER TABLE grows ADD COLUMN ${column} text`)
    }
    async function inTx(text: string, params: readonly number[]) {
      return small.tx((tx) => tx.query(text, params))
    }
    const kept = await small.query('SELECT statement FROM pg_prepared_statements')
    expect(kept).toEqual([{ statement: texts.at(-1) }])
    await small.close()
  })

  test('a pooler that forgets prepared statements costs one repeat, then none are used', async () => {
    const small = openPostgres({ url: own.url ?? '', poolMax: 1, log: silentLog })
    const one = () => small.query('SELECT $1::int AS n', [1])
    const inTx = () => small.tx((tx) => tx.query('SELECT $1::int AS n', [1]))
    await one()
    await small.query('DEALLOCATE ALL')
    expect(await failure(inTx())).toBeInstanceOf(StoreAwayError)
    expect(await inTx()).toEqual([{ n: 1 }])
    expect(await one()).toEqual([{ n: 1 }])
    expect(await small.query('SELECT count(*) AS n FROM pg_prepared_statements')).toEqual([
      { n: 0 },
    ])
    await small.close()
  })
})
