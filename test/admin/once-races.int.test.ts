import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { nothing, route } from '../../src/access/http/route.ts'
import type { Operator } from '../../src/admin/context.ts'
import { makeOnce } from '../../src/admin/once.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { isRefusal, refuse, type Refusal } from '../../src/kernel/errors.ts'
import { makeIds } from '../../src/kernel/ids.ts'
import { silentLog } from '../../src/kernel/log.ts'
import type { Db } from '../../src/store/db.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { freshDatabase, type FreshDatabase } from '../support/stores.ts'

let database: FreshDatabase
let db: Db
beforeAll(async () => {
  database = await freshDatabase()
  db = openPostgres({ url: database.url, poolMax: 8, log: silentLog })
})
afterAll(async () => {
  await db.close()
  await database.drop()
})

const DONE = { status: 201 as const, body: 'done' }
const NO = refuse('conflict', 'not now')
type Run = () => Promise<typeof DONE | Refusal>

const onceOn = (store: Db) =>
  makeOnce({ db: store, clock: systemClock, ids: makeIds(systemClock), log: silentLog })

/** Sends a body under a key to a route that does what it is told. */
function send(key: string, body: object, run: Run, store = db) {
  const one = route<Operator, typeof nothing, typeof nothing, typeof nothing, z.ZodString>({
    ...{ method: 'POST', path: '/things', summary: 'Make a thing.' },
    ...{ params: nothing, query: nothing, body: nothing, answer: z.string() },
    run,
  })
  const handle = onceOn(store)(one).prepare({ params: {}, query: {}, body, idempotencyKey: key })
  if (isRefusal(handle)) throw new Error(handle.message)
  return handle({ actor: 'test' })
}

const done: Run = () => Promise.resolve(DONE)
const refused: Run = () => Promise.resolve(NO)
const REUSED = { ok: false, code: 'idempotency_key_reused' }

/** A run that goes on when it is told how. */
function held() {
  const { promise, resolve, reject } = Promise.withResolvers<typeof DONE | Refusal>()
  const started = Promise.withResolvers<undefined>()
  const run: Run = () => {
    started.resolve(undefined)
    return promise
  }
  return { run, resolve, reject, started: started.promise }
}

describe('of two requests with one key', () => {
  it('the second neither waits for the first nor gets what it has not answered', async () => {
    const first = held()
    const slow = send('side by side', { n: 1 }, first.run)
    await first.started
    expect(await send('side by side', { n: 1 }, refused)).toEqual(NO)
    expect(await send('side by side', { n: 2 }, done)).toMatchObject(REUSED)
    expect(await send('side by side', { n: 1 }, done)).toEqual(DONE)
    first.resolve(DONE)
    expect(await slow).toEqual(DONE)
    expect(await send('side by side', { n: 2 }, done)).toMatchObject(REUSED)
  })

  it('a first that failed in the middle keeps the key for what it was', async () => {
    const lost = new Error('lost')
    await expect(send('failed', { n: 1 }, () => Promise.reject(lost))).rejects.toBe(lost)
    expect(await send('failed', { n: 2 }, done)).toMatchObject(REUSED)
    expect(await send('failed', { n: 1 }, done)).toEqual(DONE)
  })

  it('the second has the key where the first is refused while it asks who has it', async () => {
    const first = held()
    const slow = send('freed', { n: 1 }, first.run)
    await first.started
    const query: Db['query'] = async (text, params) => {
      if (text.startsWith('SELECT hold_id')) {
        first.resolve(NO)
        await slow
      }
      return db.query(text, params)
    }
    expect(await send('freed', { n: 2 }, done, { ...db, query })).toEqual(DONE)
    expect(await slow).toEqual(NO)
    expect(await send('freed', { n: 1 }, done)).toMatchObject(REUSED)
  })
})
