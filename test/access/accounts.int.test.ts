import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeAccounts } from '../../src/access/accounts.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { makeIds } from '../../src/kernel/ids.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { micros } from '../../src/kernel/money.ts'
import type { Db } from '../../src/store/db.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { freshDatabase, type FreshDatabase } from '../support/stores.ts'
import { anAccount } from './support.ts'

let database: FreshDatabase
let db: Db

beforeAll(async () => {
  database = await freshDatabase()
  db = openPostgres({ url: database.url, poolMax: 5, log: silentLog })
})
afterAll(async () => {
  await db.close()
  await database.drop()
})

const accounts = () => makeAccounts({ db, clock: systemClock, ids: makeIds(systemClock) })

describe('accounts', () => {
  it('asked for twice by id or by subject are one account', async () => {
    const input = anAccount({ id: 'acct_a', subjectRef: 'user-1' })
    const first = await accounts().create(input)
    expect(first).toMatchObject({ created: true, account: { id: 'acct_a', status: 'active' } })
    expect(await accounts().create(input)).toMatchObject({
      created: false,
      account: { id: 'acct_a' },
    })
    const bySubject = await accounts().create(anAccount({ subjectRef: 'user-1' }))
    expect(bySubject).toMatchObject({ created: false, account: { id: 'acct_a' } })
  })

  it('created at once from many sides with one subject are one account', async () => {
    const made = await Promise.all(
      Array.from({ length: 8 }, () => accounts().create(anAccount({ subjectRef: 'user-race' }))),
    )
    const ids = new Set(made.map((one) => ('account' in one ? one.account.id : 'taken')))
    expect(ids.size).toBe(1)
    expect(made.filter((one) => 'created' in one && one.created)).toHaveLength(1)
  })

  it('never share a subject or a Stripe customer', async () => {
    await accounts().create(
      anAccount({ id: 'acct_b', subjectRef: 'user-b', stripeCustomerId: 'cus_b' }),
    )
    const other = anAccount({ id: 'acct_c', subjectRef: 'user-b' })
    expect(await accounts().create(other)).toEqual({ ok: false, taken: 'id' })
    await accounts().create(anAccount({ id: 'acct_c' }))
    const change = { stripeCustomerId: 'cus_b' }
    const refused = { ok: false, taken: 'stripe_customer_id' }
    expect(await accounts().change('acct_c', change, 'test')).toEqual(refused)
    const subject = await accounts().change('acct_c', { subjectRef: 'user-b' }, 'test')
    expect(subject).toEqual({ ok: false, taken: 'subject_ref' })
  })

  it('change only what is named, raise change_seq, leave version and say so in the audit log', async () => {
    await accounts().create(anAccount({ id: 'acct_d', email: 'a@example.com' }))
    const frozen = { status: 'frozen', statusReason: 'chargeback' } as const
    const after = await accounts().change('acct_d', frozen, 'ops')
    expect(after).toMatchObject({ ...frozen, email: 'a@example.com', changeSeq: 2 })
    const limit = { creditLimitMicros: micros(7) }
    expect(await accounts().change('acct_d', limit, 'ops')).toMatchObject({ ...frozen, ...limit })
    const open = await accounts().change('acct_d', { status: 'active' }, 'ops')
    expect(open).toMatchObject({ status: 'active', statusReason: null, changeSeq: 4 })
    const [row] = await db.query(
      `SELECT version, (SELECT count(*) FROM audit_log WHERE subject = 'acct_d' AND actor = 'ops') AS n
         FROM accounts WHERE id = 'acct_d'`,
    )
    expect(row).toEqual({ version: 0, n: 3 })
  })

  it('are listed in order of their ids, a page at a time', async () => {
    for (const id of ['page_1', 'page_2', 'page_3']) await accounts().create(anAccount({ id }))
    const page = await accounts().list('page_0', 2)
    expect(page.map((account) => account.id)).toEqual(['page_1', 'page_2'])
    const rest = await accounts().list('page_2', 2)
    expect(rest.map((account) => account.id)).toEqual(['page_3'])
  })
})
