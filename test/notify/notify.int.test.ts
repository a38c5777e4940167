import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { z } from 'zod'
import { systemClock } from '../../src/kernel/clock.ts'
import {
  ALERTS_AN_HOUR_MAX,
  NOTIFICATIONS_AT_ONCE_MAX,
  NOTIFICATION_LEASE_MS,
  NOTIFICATION_TRIES_MAX,
} from '../../src/kernel/limits/notify.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { makePostingLedger } from '../../src/ledger/posting-ledger.ts'
import { makeBooks } from '../../src/ledger/ledger-books.ts'
import { makeAlerts } from '../../src/notify/alerts.ts'
import { balanceNotices } from '../../src/notify/balance-notices.ts'
import { notifyConfigSchema } from '../../src/notify/config.ts'
import type { Notice } from '../../src/notify/notice.ts'
import { makeOutbox } from '../../src/notify/outbox.ts'
import { makeSender, type SenderDeps } from '../../src/notify/sender.ts'
import { makeDrifts } from '../../src/reconcile/drift.ts'
import { addAccount, grant, ids, item, T0 } from '../ledger/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { until } from '../support/until.ts'
import { startMailbox, startReceiver, type Mailbox, type Receiver } from './receivers.ts'

const KEY = Buffer.from('a secret of thirty-two characters').toString('base64')
const SECRET = `whsec_${KEY}`

let mailbox: Mailbox
let receiver: Receiver
beforeAll(async () => {
  mailbox = await startMailbox()
  receiver = await startReceiver()
})
afterAll(async () => {
  await mailbox[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
})

/** An outbox and its sender on a database of its own, with a clock that is moved by hand. */
async function makeWorld(given: z.input<typeof notifyConfigSchema> = {}) {
  const own: TestDb = await testDb('postgres')
  const { db } = own
  const claimLink: SenderDeps['claimLink'] = () => Promise.resolve(null)
  const world = { nowMs: T0, config: notifyConfigSchema.parse(given), claimLink }
  const clock = { ...systemClock, now: () => world.nowMs }
  const outbox = makeOutbox({ db, ids, config: () => world.config })
  const results: string[] = []
  const sender = () =>
    makeSender({
      outbox,
      config: () => world.config,
      clock,
      random: () => 0.5,
      log: silentLog,
      claimLink: (...named) => world.claimLink(...named),
      onSent: (channel, result) => results.push(`${channel} ${result}`),
    })
  const states = async () =>
    (await outbox.list(null, null, 100)).map(({ channel, state }) => `${channel} ${state}`).sort()
  const account = async (email: string | null) => {
    const id = `acct_${ids.uuid()}`
    await addAccount(db, id)
    await db.query('UPDATE accounts SET email = $2 WHERE id = $1', [id, email])
    return id
  }
  return Object.assign(world, {
    ...{ db, clock, outbox, sender, results, states, account },
    [Symbol.asyncDispose]: () => own[Symbol.asyncDispose](),
  })
}

const mails = () => ({ smtp_url: mailbox.url, from: 'billing@example.com' })
const hook = () => ({ id: 'main', url: receiver.url, secret: SECRET })

const received = (accountId: string, occasion = `credits:${ids.uuid()}`): Notice => ({
  kind: 'credits_received',
  occasion,
  accountId,
  data: { credits: '10', available: '12.5' },
})

describe('a notification', () => {
  test('goes to the mail and the webhook of whom it concerns, once an occasion', async () => {
    await using world = await makeWorld({ ...mails(), webhooks: [hook()] })
    const accountId = await world.account('buyer@example.com')
    const notice = received(accountId)
    await Promise.all(Array.from({ length: 10 }, () => world.outbox.add(notice, T0)))
    mailbox.mails.length = receiver.received.length = 0
    await Promise.all([world.sender().drain(), world.sender().drain(), world.sender().drain()])
    expect(await world.states()).toEqual(['email sent', 'webhook:main sent'])
    expect(mailbox.mails).toHaveLength(1)
    expect(mailbox.mails[0]).toContain('To: buyer@example.com')
    expect(mailbox.mails[0]).toContain('You now have 12.5 credits')
    const [message] = receiver.received
    expect(receiver.received).toHaveLength(1)
    const id = message?.headers['webhook-id']
    const at = message?.headers['webhook-timestamp']
    const signed = `${String(id)}.${String(at)}.${message?.body ?? ''}`
    const digest = createHmac('sha256', Buffer.from(KEY, 'base64')).update(signed).digest('base64')
    expect(message?.headers['webhook-signature']).toBe(`v1,${digest}`)
    expect(JSON.parse(message?.body ?? '')).toEqual({
      type: 'credits_received',
      timestamp: new Date(T0).toISOString(),
      account_id: accountId,
      data: { credits: '10', available: '12.5' },
    })
  })

  test('is noted only with the transaction that it tells of', async () => {
    await using world = await makeWorld({ webhooks: [hook()] })
    const accountId = await world.account(null)
    const undone = world.db.tx(async (tx) => {
      await world.outbox.add(received(accountId), T0, tx)
      throw new Error('no')
    })
    await expect(undone).rejects.toThrow('no')
    expect(await world.states()).toEqual([])
  })

  test('comes again after pauses that grow, until it is given up; then by hand', async () => {
    await using world = await makeWorld({ webhooks: [hook()] })
    await world.outbox.add(received(await world.account(null)), T0)
    receiver.answer(503)
    receiver.received.length = 0
    const pauses: number[] = []
    for (let tries = 1; tries <= NOTIFICATION_TRIES_MAX; tries++) {
      await world.sender().drain()
      expect(receiver.received).toHaveLength(tries)
      const [row] = await world.outbox.list(null, null, 1)
      pauses.push((row?.due_at ?? 0) - world.nowMs)
      world.nowMs = Math.max(world.nowMs, row?.due_at ?? 0)
    }
    expect(pauses.slice(0, 3)).toEqual([5_000, 10_000, 20_000])
    const [dead] = await world.outbox.list('dead', null, 1)
    expect(dead).toMatchObject({ attempts: NOTIFICATION_TRIES_MAX, note: /answered 503/ })
    expect(await world.outbox.backlog()).toEqual({ pending: 0, dead: 1 })
    receiver.answer(200)
    expect(await world.outbox.retry(world.db, dead?.id ?? '', null, world.nowMs)).toMatchObject({
      attempts: 0,
    })
    await world.sender().drain()
    expect(await world.states()).toEqual(['webhook:main sent'])
    const ids = new Set(receiver.received.map(({ headers }) => headers['webhook-id']))
    expect(ids.size).toBe(1) // the receiver can tell repeats
  })

  test.each([
    [410, 'webhook:main dead'],
    [302, 'webhook:main pending'],
  ])('a receiver that answers %i leaves it %s', async (status, state) => {
    await using world = await makeWorld({ webhooks: [hook()] })
    await world.outbox.add(received(await world.account(null)), T0)
    receiver.received.length = 0
    receiver.answer(status)
    await world.sender().drain()
    receiver.answer(204)
    expect(await world.states()).toEqual([state])
    expect(receiver.received).toHaveLength(1)
  })

  test('waits for no receiver of another one that hangs', async () => {
    await using hanging = await startReceiver()
    hanging.answer(null)
    const stuck = { ...hook(), id: 'stuck', url: hanging.url }
    await using world = await makeWorld({ ...mails(), webhooks: [stuck, hook()] })
    const sender = world.sender()
    const count = 2 * NOTIFICATIONS_AT_ONCE_MAX
    const accountId = await world.account('b@example.com')
    mailbox.mails.length = receiver.received.length = 0
    for (let at = 0; at < count; at += 1) await world.outbox.add(received(accountId), T0)
    await until(async () => {
      await sender.tick()
      return [mailbox.mails, receiver.received].every(({ length }) => length === count)
    })
    await until(() => hanging.received.length > 0)
    await hanging[Symbol.asyncDispose]()
    await sender.idle()
    expect(await world.states()).toContain('webhook:stuck pending')
  })

  test('of a webhook that is not configured any more is skipped', async () => {
    await using world = await makeWorld({ webhooks: [hook()] })
    await world.outbox.add(received(await world.account(null)), T0)
    world.config = notifyConfigSchema.parse({})
    await world.sender().drain()
    expect(await world.states()).toEqual(['webhook:main skipped'])
  })

  test('of a sender that died is sent by another one after the lease', async () => {
    await using world = await makeWorld({ ...mails() })
    await world.outbox.add(received(await world.account('a@example.com')), T0)
    const [claimed] = await world.outbox.claim(T0, 10, { names: [], isOthers: true })
    await world.sender().drain()
    expect(await world.states()).toEqual(['email pending'])
    world.nowMs += NOTIFICATION_LEASE_MS
    await world.sender().drain()
    expect(await world.states()).toEqual(['email sent'])
    if (claimed === undefined) throw new Error('nothing was claimed')
    const late = { state: 'dead', note: 'too late' } as const
    expect(await world.outbox.finish(claimed, late, world.nowMs)).toBe(false)
    expect(await world.states()).toEqual(['email sent'])
  })

  test('is skipped where there is no address, and tried again where mail is refused', async () => {
    await using world = await makeWorld({ ...mails() })
    await world.outbox.add(received(await world.account(null)), T0)
    await world.sender().drain()
    expect(await world.states()).toEqual(['email skipped'])
    await world.outbox.add(received(await world.account('b@example.com')), T0)
    mailbox.refuse(true)
    await world.sender().drain()
    mailbox.refuse(false)
    expect(world.results).toEqual(['email skipped', 'email pending'])
  })

  test.each([
    [
      {
        kind: 'trial_will_end',
        data: { plan: 'Pro', ends_at: '2027-03-04T05:06:07.000Z', then: 'paid' },
      },
      ['Your trial of Pro ends on 2027-03-04.', 'The plan goes on'],
    ],
    [
      { kind: 'payment_action_required', data: { url: 'https://pay.example/in_1' } },
      ['waits for you to confirm it here', 'https://pay.example/in_1'],
    ],
  ] as const)('of a plan says what it is about: %o', async (told, words) => {
    await using world = await makeWorld({ ...mails(), webhooks: [hook()] })
    const accountId = await world.account('d@example.com')
    const occasion = `about:${ids.uuid()}`
    await world.outbox.add({ ...told, occasion, accountId }, T0)
    mailbox.mails.length = receiver.received.length = 0
    await world.sender().drain()
    for (const word of words) expect(mailbox.mails[0]).toContain(word)
    const message: unknown = JSON.parse(receiver.received[0]?.body ?? '')
    expect(message).toMatchObject({ type: told.kind, account_id: accountId, data: told.data })
  })

  test('forgets the link once it was sent, and keeps it until then', async () => {
    await using world = await makeWorld({ ...mails() })
    const url = 'https://bank.example/confirm/one-time'
    const notice: Notice = {
      kind: 'authentication_required',
      occasion: 'authentication:1',
      accountId: await world.account('c@example.com'),
      data: { url },
    }
    await world.outbox.add(notice, T0)
    mailbox.refuse(true)
    await world.sender().drain()
    mailbox.refuse(false)
    world.nowMs += 60_000
    mailbox.mails.length = 0
    await world.sender().drain()
    expect(mailbox.mails[0]).toContain(url)
    const [row] = await world.db.query('SELECT data::text AS data FROM notifications', [])
    expect(row?.data).not.toContain('one-time')
  })

  test('of a key has its link made for each try, which the outbox never holds', async () => {
    await using world = await makeWorld({ ...mails(), webhooks: [hook()] })
    const made: string[] = []
    world.claimLink = (claimId, round) => {
      made.push(`https://farebox.example/claim/${claimId}-${round}-${made.length}`)
      return Promise.resolve({ url: made.at(-1) ?? '', expiresAtMs: T0 })
    }
    const notice: Notice = {
      kind: 'claim_link',
      occasion: 'claim:1',
      accountId: await world.account('c@example.com'),
      data: { claim_id: 'c1', round: 1 },
    }
    await world.outbox.add(notice, T0)
    mailbox.mails.length = receiver.received.length = 0
    mailbox.refuse(true)
    await world.sender().drain()
    mailbox.refuse(false)
    const rows = async () => JSON.stringify(await world.db.query('SELECT * FROM notifications', []))
    expect(await rows()).not.toContain('/claim/')
    world.nowMs += 60_000
    await world.sender().drain()
    expect(mailbox.mails[0]).toContain(made[2]) // of the second try
    expect(receiver.received[0]?.body).toMatch(/claim\/c1-1-[01]","expires_at":"2/)
    expect(await world.states()).toEqual(['email sent', 'webhook:main sent'])
    expect(await rows()).not.toContain('/claim/')
  })

  test('of a key that was claimed meanwhile is not sent', async () => {
    await using world = await makeWorld(mails())
    await world.outbox.add(
      {
        kind: 'claim_link',
        occasion: 'claim:1',
        accountId: await world.account('c@example.com'),
        data: { claim_id: 'c1', round: 1 },
      },
      T0,
    )
    mailbox.mails.length = 0
    await world.sender().drain()
    expect([await world.states(), mailbox.mails]).toEqual([['email skipped'], []])
  })
})

test('nobody is told where nothing is configured', async () => {
  await using world = await makeWorld()
  await world.outbox.add(received(await world.account('d@example.com')), T0)
  expect(await world.states()).toEqual([])
})

test('operators are told once of what cannot wait, customers never', async () => {
  await using world = await makeWorld({ ...mails(), operator_email: 'ops@example.com' })
  const note = (severity: string, subject: string, kind = 'paid_not_granted') =>
    world.db.query(
      `INSERT INTO findings (id, kind, severity, subject, evidence, first_seen, last_seen)
       VALUES ($1, $5, $2, $3, '{}', $4, $4)`,
      [ids.uuid(), severity, subject, new Date(T0), kind],
    )
  await note('urgent', 'pi_1')
  await note('review', 'pi_2')
  await note('review', 'price_new', 'stripe_unknown_price')
  const alert = makeAlerts(world)
  await alert(T0 + 1)
  await alert(T0 + 2)
  world.nowMs = T0 + 3
  mailbox.mails.length = 0
  await world.sender().drain()
  expect(mailbox.mails).toHaveLength(2)
  const told = mailbox.mails.join('\n')
  expect(told).toContain('To: ops@example.com')
  expect(['pi_1', 'pi_2', 'price_new'].filter((one) => told.includes(one))).toEqual([
    'pi_1',
    'price_new',
  ])
})

test('of very many within an hour the first of each kind are told, and how many more there are', async () => {
  await using world = await makeWorld({ ...mails(), operator_email: 'ops@example.com' })
  const note = (kind: string, count: number) =>
    world.db.query(
      `INSERT INTO findings (id, kind, severity, subject, evidence, first_seen, last_seen)
       SELECT gen_random_uuid(), $1, 'urgent', 'it_' || n, '{}', $2, $2
       FROM generate_series(1, $3::int) n`,
      [kind, new Date(T0), count],
    )
  await note('paid_not_granted', 400)
  await note('meter_late', 2)
  const alert = makeAlerts(world)
  const told = async () => {
    const rows = await world.db.query(
      'SELECT occasion, data FROM notifications ORDER BY created_at',
    )
    return rows.map(({ occasion, data }) => ({
      isOne: String(occasion).startsWith('finding:'),
      ...(data as { kind: string; subject: string }),
    }))
  }
  for (let n = 0; n < 5; n += 1) await alert(T0 + n)
  const first = await told()
  expect(first).toHaveLength(ALERTS_AN_HOUR_MAX + 1)
  expect(first.filter(({ kind, isOne }) => isOne && kind === 'meter_late')).toHaveLength(2)
  const more = first.filter(({ isOne }) => !isOne)
  expect(more).toMatchObject([
    { subject: expect.stringMatching(/^372 more urgent findings, .* the first is it_/) as string },
  ])
  // What comes meanwhile is among the more; the next hour has a room of its own.
  await note('ledger_balance', 1)
  await alert(T0 + 1_800_000)
  expect(await told()).toHaveLength(ALERTS_AN_HOUR_MAX + 1)
  await alert(T0 + 3_600_010)
  const later = (await told()).slice(first.length)
  expect(later).toHaveLength(ALERTS_AN_HOUR_MAX + 1)
  expect(later.map(({ kind }) => kind)).toContain('ledger_balance')
  // Explained or mended, nothing is left to be told.
  await world.db.query("UPDATE findings SET state = 'gone'")
  await alert(T0 + 2 * 3_600_010)
  expect(await told()).toHaveLength(2 * (ALERTS_AN_HOUR_MAX + 1))
})

test('a finding that opens again is told again, once', async () => {
  await using world = await makeWorld({ ...mails(), operator_email: 'ops@example.com' })
  const drifts = makeDrifts({ db: world.db, ids, clock: world.clock })
  const alert = makeAlerts(world)
  const drift = { kind: 'payment_not_granted', subject: 'pi_1', repair: null } as const
  const see = async (severity: 'urgent' | 'review' = 'urgent') => {
    world.nowMs += 1_000
    const told = { severity, direction: null, atStakeMicros: null, evidence: {} }
    const noted = await drifts.note({ ...drift, ...told })
    for (let n = 0; n < 2; n += 1) await alert(world.nowMs)
    return noted?.id ?? ''
  }
  const told = async () => (await world.outbox.list(null, null, 100)).length
  const id = await see()
  await see()
  expect(await told()).toBe(1)
  world.nowMs += 1_000
  await drifts.gone(['payment_not_granted'], { lease: null, startedMs: world.nowMs }, null)
  await see()
  await see()
  expect(await told()).toBe(2)
  await drifts.fixed(id)
  await see()
  expect(await told()).toBe(3)
  const explain = (untilMs: number | null) =>
    world.db.query(`UPDATE findings SET state = 'explained', explained_until = $1`, [
      untilMs === null ? null : new Date(untilMs),
    ])
  await explain(world.nowMs + 3_600_000)
  await see()
  await explain(null)
  await see()
  expect(await told()).toBe(3)
  await explain(world.nowMs)
  await see()
  await see()
  expect(await told()).toBe(4)
  await see('review')
  await see()
  await see()
  expect(await told()).toBe(5)
  // What opened long ago is no news to who configures a channel now.
  await world.db.query(`DELETE FROM notifications`)
  world.nowMs += 2 * 86_400_000
  await alert(world.nowMs)
  expect(await told()).toBe(0)
})

/** An account whose charges tell of the marks that its balance passes. */
async function makeSpender() {
  const world = await makeWorld({ low_balance_credits: '5', webhooks: [hook()] })
  const { db, outbox, config } = world
  const ledger = makePostingLedger({
    db,
    ids,
    alongside: (postings, nowMs) =>
      balanceNotices(postings, config).flatMap((notice) => outbox.balanceStatements(notice, nowMs)),
  })
  const accountId = await world.account(null)
  const books = makeBooks({ db, ids })
  return Object.assign(world, { ledger, accountId, books })
}

test('a charge that passes a mark of the balance tells it once, with the charge', async () => {
  await using spender = await makeSpender()
  const { outbox, ledger, accountId, books } = spender
  await books.grant(grant(accountId, 8_000_000), T0)
  const charge = (amount: number) => ledger.post([item({ accountId, micros: amount })], T0)
  const kinds = async () => (await outbox.list(null, null, 10)).map(({ kind }) => kind).reverse()
  await charge(2_000_000)
  expect(await kinds()).toEqual([])
  const passing = item({ accountId, micros: 1_500_000 })
  await ledger.post([passing, item({ accountId, micros: 500_000 })], T0)
  await ledger.post([passing], T0)
  await charge(1_000_000)
  expect(await kinds()).toEqual(['low_balance'])
  await charge(3_000_000)
  expect(await kinds()).toEqual(['low_balance', 'balance_exhausted'])
  await charge(1)
  expect(await kinds()).toHaveLength(2)
  await books.grant(grant(accountId, 6_000_000), T0)
  await charge(2_000_000)
  expect(await kinds()).toEqual(['low_balance', 'balance_exhausted', 'low_balance'])
})

test('a balance that hovers about the mark tells it once, until new credits come', async () => {
  await using spender = await makeSpender()
  const { outbox, ledger, accountId, books } = spender
  await books.grant(grant(accountId, 6_000_000), T0)
  const hover = async (): Promise<void> => {
    for (let round = 0; round < 3; round += 1) {
      const holdId = ids.uuid()
      await ledger.post([item({ accountId, holdId, rev: 1, micros: 2_000_000 })], T0)
      await ledger.post([item({ accountId, holdId, rev: 2, micros: 0 })], T0)
    }
  }
  const kinds = async () => (await outbox.list(null, null, 10)).map(({ kind }) => kind)
  await hover()
  expect(await kinds()).toEqual(['low_balance'])
  await books.grant(grant(accountId, 100_000), T0)
  await hover()
  expect(await kinds()).toEqual(['low_balance', 'low_balance'])
})

test('while a recharge is about to mend it nobody is told, and of one that failed again', async () => {
  await using spender = await makeSpender()
  const { db, outbox, ledger, accountId, books } = spender
  const recharge = (dueMs: number, state = 'on') =>
    db.query(
      `INSERT INTO recharges (account_id, state, reason, pack_id, threshold_micros, monthly_count,
                              currency, return_url, due_at, changed_at)
       VALUES ($1, $2, $3, 'p', 1, 5, 'usd', 'https://a.example/', $4, $4)
       ON CONFLICT (account_id) DO UPDATE SET state = $2, reason = $3, due_at = $4`,
      [accountId, state, state === 'on' ? null : 'declined', new Date(dueMs)],
    )
  const spendAll = async () => {
    await books.grant(grant(accountId, 6_000_000), T0)
    const before = await outbox.list(null, null, 100)
    await ledger.post([item({ accountId, micros: 2_000_000 })], T0)
    await ledger.post([item({ accountId, micros: 4_000_000 })], T0)
    const after = await outbox.list(null, null, 100)
    return after.slice(0, after.length - before.length).map(({ kind }) => kind)
  }
  const both = ['balance_exhausted', 'low_balance']
  await recharge(T0 - 1)
  expect(await spendAll()).toEqual([])
  await recharge(T0 + 5_000) // right after one that succeeded
  expect(await spendAll()).toEqual([])
  await recharge(T0 + 600_000) // after one that failed
  expect(await spendAll()).toEqual(both)
  await recharge(T0, 'blocked')
  expect(await spendAll()).toEqual(both)
  await recharge(T0)
  await db.query(
    `INSERT INTO stripe_disputes (id, payment_id, account_id, status, amount, withdrawn,
                                  is_freezing, changed_at)
     VALUES ('dp_1', 'pi_1', $1, 'needs_response', 1, 1, true, $2)`,
    [accountId, new Date(T0)],
  )
  expect(await spendAll()).toEqual(both)
})
