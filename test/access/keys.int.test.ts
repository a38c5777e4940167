import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeAccounts } from '../../src/access/accounts.ts'
import { makeAuthenticator } from '../../src/access/authenticator.ts'
import { makeKeys } from '../../src/access/keys.ts'
import { mintSecret } from '../../src/access/secrets.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { makeIds } from '../../src/kernel/ids.ts'
import { KEY_POLL_MS, UNKNOWN_KEY_MS } from '../../src/kernel/limits/access.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { micros } from '../../src/kernel/money.ts'
import type { Db } from '../../src/store/db.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { freshDatabase, type FreshDatabase } from '../support/stores.ts'
import { makeLoops } from '../../src/ops/loops.ts'
import { anAccount, eventually, noLimits } from './support.ts'

let database: FreshDatabase
let db: Db
const clock = systemClock
const ids = makeIds(clock)

beforeAll(async () => {
  database = await freshDatabase()
  db = openPostgres({ url: database.url, poolMax: 5, log: silentLog })
})
afterAll(async () => {
  await db.close()
  await database.drop()
})

async function anAccountId(): Promise<string> {
  const made = await makeAccounts({ db, clock, ids }).create(anAccount())
  if (!('account' in made)) throw new Error('taken')
  return made.account.id
}

async function aKey(accountId: string): Promise<{ id: string; secret: string }> {
  const keys = makeKeys({ db, clock, ids, mode: 'test' })
  const made = await keys.create({ id: null, accountId, limits: noLimits(), actor: 'test' })
  if (made?.secret == null) throw new Error('no secret')
  return { id: made.key.id, secret: made.secret }
}

/** A Db that counts its statements and can be taken away. */
function watched(): { db: Db; counts: { queries: number }; away: { now: boolean } } {
  const counts = { queries: 0 }
  const away = { now: false }
  const query: Db['query'] = async (text, params) => {
    counts.queries += 1
    if (away.now) throw new Error('Postgres is away')
    return db.query(text, params)
  }
  return { db: { ...db, query }, counts, away }
}

const makeWatched = () => {
  const watch = watched()
  return {
    ...watch,
    auth: makeAuthenticator({ db: watch.db, clock, log: silentLog, mode: 'test' }),
  }
}

describe('keys', () => {
  it('are stored as a hash: no column and no audit line holds the secret', async () => {
    const { id, secret } = await aKey(await anAccountId())
    const [row] = await db.query(
      `SELECT to_jsonb(k)::text AS key, encode(k.hash, 'escape') AS hash,
              (SELECT string_agg(l.detail::text, ' ') FROM audit_log l WHERE l.subject = k.id) AS log
         FROM api_keys k WHERE id = $1`,
      [id],
    )
    expect(JSON.stringify(row)).not.toContain(secret.slice(13))
    expect(row?.log).toContain(secret.slice(0, 12))
  })

  it('are not made for an account that does not exist', async () => {
    const keys = makeKeys({ db, clock, ids, mode: 'test' })
    const input = { id: null, accountId: 'acct_nobody', limits: noLimits(), actor: 'test' }
    expect(await keys.create(input)).toBeNull()
  })

  it('asked for twice with one id are one key, whose secret is shown once', async () => {
    const keys = makeKeys({ db, clock, ids, mode: 'test' })
    const accountId = await anAccountId()
    const input = { id: 'key_given', accountId, limits: noLimits(), actor: 'test' }
    const [first, second] = [await keys.create(input), await keys.create(input)]
    expect(first?.secret).toMatch(/^fb_test_/)
    expect(second).toEqual({ key: first?.key, secret: null })
  })

  it('raise change_seq with each change, and not by a second revocation', async () => {
    const keys = makeKeys({ db, clock, ids, mode: 'test' })
    const { id } = await aKey(await anAccountId())
    const budget = { micros: micros(5_000_000), period: 'month' as const }
    const changed = await keys.change(id, { ...noLimits('new'), budget }, 'test')
    expect(changed).toMatchObject({ changeSeq: 2, limits: { name: 'new', budget } })
    expect((await keys.rotate(id, 'test'))?.key.changeSeq).toBe(3)
    expect((await keys.revoke(id, 'test'))?.changeSeq).toBe(4)
    expect((await keys.revoke(id, 'test'))?.changeSeq).toBe(4)
    expect(await keys.rotate(id, 'test')).toBeNull()
    expect(await keys.change(id, noLimits(), 'test')).toBeNull()
  })
})

describe('the authenticator', () => {
  it('answers a cached key at once and without Postgres, which may be away', async () => {
    const { auth, counts, away } = makeWatched()
    const { id, secret } = await aKey(await anAccountId())
    expect(await auth.authenticate(secret)).toMatchObject({ keyId: id, keyKind: 'client' })
    away.now = true
    const before = counts.queries
    const again = auth.authenticate(secret)
    expect(again).not.toBeInstanceOf(Promise)
    expect(again).toMatchObject({ keyId: id })
    expect(counts.queries).toBe(before)
    await expect(auth.poll()).rejects.toThrow('away')
    expect(auth.authenticate(secret)).toMatchObject({ keyId: id })
  })

  it('throws for a key it does not know while Postgres is away, and does not remember a no', async () => {
    const { auth, away } = makeWatched()
    const { id, secret } = await aKey(await anAccountId())
    away.now = true
    await expect(auth.authenticate(secret)).rejects.toThrow('away')
    away.now = false
    expect(await auth.authenticate(secret)).toMatchObject({ keyId: id })
  })

  it('asks Postgres once for many requests with one new key', async () => {
    const { auth, counts } = makeWatched()
    const { id, secret } = await aKey(await anAccountId())
    const answers = await Promise.all(
      Array.from({ length: 50 }, async () => auth.authenticate(secret)),
    )
    expect(answers.every((caller) => caller?.keyId === id)).toBe(true)
    expect(counts.queries).toBe(1)
  })

  it('does not ask for malformed secrets, nor twice for unknown ones', async () => {
    const { auth, counts } = makeWatched()
    expect(auth.authenticate('sk-nonsense')).toBeNull()
    expect(counts.queries).toBe(0)
    const { secret } = mintSecret(ids, 'client', 'test')
    expect(await auth.authenticate(secret)).toBeNull()
    expect(auth.authenticate(secret)).toBeNull()
    expect(counts.queries).toBe(1)
    expect(UNKNOWN_KEY_MS).toBeLessThanOrEqual(5_000)
  })

  it.each(['revoke', 'rotate'] as const)(
    'forgets a key after another process did %s',
    async (act) => {
      const { auth } = makeWatched()
      const { id, secret } = await aKey(await anAccountId())
      expect(await auth.authenticate(secret)).not.toBeNull()
      await makeKeys({ db, clock, ids, mode: 'test' })[act](id, 'test')
      await auth.poll()
      expect(await auth.authenticate(secret)).toBeNull()
    },
  )

  it('forgets a key whose look-up read the row before its revocation', async () => {
    const { id, secret } = await aKey(await anAccountId())
    const read = Promise.withResolvers<undefined>()
    const answered = Promise.withResolvers<undefined>()
    const slow: Db['query'] = async (text, params) => {
      const rows = await db.query(text, params)
      if (text.includes('k.hash')) {
        read.resolve(undefined)
        await answered.promise
      }
      return rows
    }
    const auth = makeAuthenticator({
      db: { ...db, query: slow },
      clock,
      log: silentLog,
      mode: 'test',
    })
    const looking = auth.authenticate(secret)
    await read.promise
    await makeKeys({ db, clock, ids, mode: 'test' }).revoke(id, 'test')
    await auth.poll() // sees the revocation while the old row is still on its way
    answered.resolve(undefined)
    expect(await looking).toMatchObject({ keyId: id })
    await auth.poll()
    expect(await auth.authenticate(secret)).toBeNull()
  })

  it('learns of a revocation elsewhere by its loop alone, within a second', async () => {
    const { auth } = makeWatched()
    const { id, secret } = await aKey(await anAccountId())
    expect(await auth.authenticate(secret)).not.toBeNull()
    const onRun = (): void => undefined
    const loops = makeLoops({ clock, log: silentLog, random: Math.random, onRun })
    loops.start({ name: 'keys', periodMs: KEY_POLL_MS, run: () => auth.poll() })
    await makeKeys({ db, clock, ids, mode: 'test' }).revoke(id, 'test')
    const refused = await eventually(
      () => auth.authenticate(secret),
      (caller) => caller === null,
      10_000, // the promise is a second on a machine that is not busy with other tests
    )
    expect(refused).toBeNull()
    expect(KEY_POLL_MS * 1.1).toBeLessThan(500)
    await loops.stop()
  })

  it('reads the account’s markup anew after it changed', async () => {
    const { auth } = makeWatched()
    const accountId = await anAccountId()
    const { secret } = await aKey(accountId)
    expect(await auth.authenticate(secret)).toMatchObject({ markup: null })
    await makeAccounts({ db, clock, ids }).change(accountId, { markup: '1.5' }, 'test')
    await auth.poll()
    expect(await auth.authenticate(secret)).toMatchObject({ markup: '1.5' })
  })

  it('refuses a key from the moment it expires, also when cached', async () => {
    let nowMs = Date.now()
    const movable = { ...clock, now: () => nowMs }
    const keys = makeKeys({ db, clock: movable, ids, mode: 'test' })
    const limits = { ...noLimits(), expiresAtMs: nowMs + 60_000 }
    const accountId = await anAccountId()
    const made = await keys.create({ id: null, accountId, limits, actor: 'test' })
    const auth = makeAuthenticator({ db, clock: movable, log: silentLog, mode: 'test' })
    expect(await auth.authenticate(made?.secret ?? '')).not.toBeNull()
    nowMs += 60_000
    expect(auth.authenticate(made?.secret ?? '')).toBeNull()
  })

  it('reads pages of changes of one instant to their end', async () => {
    const { auth } = makeWatched()
    const accountId = await anAccountId()
    const { id, secret } = await aKey(accountId)
    expect(await auth.authenticate(secret)).not.toBeNull()
    const at = new Date()
    await db.query(
      `INSERT INTO api_keys (id, account_id, kind, name, prefix, hash, changed_at, created_at)
       SELECT 'bulk_' || lpad(n::text, 5, '0'), $1, 'client', 'bulk', 'fb', sha256(n::text::bytea), $2, $2
         FROM generate_series(1, 2500) n`,
      [accountId, at],
    )
    await db.query(
      `UPDATE api_keys SET status = 'revoked', change_seq = 9, changed_at = $2 WHERE id = $1`,
      [id, at],
    )
    expect('bulk_' < id).toBe(true) // so it is on the last page of that instant
    await auth.poll()
    expect(await auth.authenticate(secret)).toBeNull()
  })
})
