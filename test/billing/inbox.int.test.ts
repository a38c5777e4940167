import Stripe from 'stripe'
import { afterAll, describe, expect, test } from 'vitest'
import { readEvent } from '../../src/billing/event.ts'
import type { Delivery } from '../../src/billing/keep-events.ts'
import type { Effect } from '../../src/billing/worker.ts'
import {
  STRIPE_EVENTS_AT_ONCE_MAX,
  STRIPE_EVENT_BYTES_MAX,
  STRIPE_EVENT_LEASE_MS,
  STRIPE_EVENT_RETRY_MS_MAX,
  STRIPE_EVENT_TRIES_MAX,
} from '../../src/kernel/limits/stripe.ts'
import { addMicros, micros } from '../../src/kernel/money.ts'
import { UnknownOutcomeError } from '../../src/kernel/errors.ts'
import { silentLog } from '../../src/kernel/log.ts'
import type { Db } from '../../src/store/db.ts'
import { testDb } from '../store/databases.ts'
import { until } from '../support/until.ts'
import { makeInboxWorld, SECRET, sign, snapshot } from './support.ts'

const finishing =
  (db: Db, seen: string[] = []): Effect =>
  (event, finish) =>
    db.tx(async (tx) => {
      seen.push(event.id)
      await finish(tx, 'seen')
    })

describe.each(['postgres', 'pglite'] as const)('on %s', async (kind) => {
  const own = await testDb(kind)
  afterAll(() => own[Symbol.asyncDispose]())
  const { db } = own

  test('an event is stored, answered, and worked off once however often it comes', async () => {
    const seen: string[] = []
    const world = await makeInboxWorld(db, finishing(db, seen))
    const event = snapshot('invoice.paid', 'in_1')
    expect(await world.deliver(event)).toBe(200)
    expect(await world.find(event.id)).toMatchObject({ state: 'pending', object_id: 'in_1' })
    expect(seen).toEqual([])
    expect(await world.deliver(event)).toBe(200)
    await world.worker.drain()
    expect(await world.deliver(event)).toBe(200)
    await world.worker.drain()
    expect(seen).toEqual([event.id])
    expect(await world.find(event.id)).toMatchObject({ state: 'done', deliveries: 3, attempts: 1 })
    expect(world.hooks.deliveries).toEqual(['stored', 'duplicate', 'duplicate'])
  })

  test('an unknown type is stored; another mode and another account are kept and left alone', async () => {
    const seen: string[] = []
    const world = await makeInboxWorld(db, finishing(db, seen))
    const unknown = snapshot('future.thing.happened', null)
    const live = snapshot('invoice.paid', 'in_2', { livemode: true })
    const other = snapshot('invoice.paid', 'in_3', { account: 'acct_9' })
    for (const event of [unknown, live, other]) expect(await world.deliver(event)).toBe(200)
    await world.worker.drain()
    expect(seen).toEqual([unknown.id])
    expect((await world.find(live.id))?.state).toBe('ignored')
    expect(await world.find(other.id)).toMatchObject({ state: 'ignored', stripe_account: 'acct_9' })
  })

  test('another version of events is taken, and warned of once', async () => {
    const warned: unknown[] = []
    const log = { ...silentLog, warn: (fields: object) => warned.push(fields) }
    const world = await makeInboxWorld(db, finishing(db), [SECRET], undefined, log)
    for (const version of ['2020-08-27', Stripe.API_VERSION, '2020-08-27', null, 1]) {
      const event = snapshot('future.thing', 'x_1', { api_version: version })
      expect(await world.deliver(event)).toBe(200)
    }
    expect(warned).toEqual([{ version: '2020-08-27', ours: Stripe.API_VERSION }])
    await world.worker.drain()
  })

  test('what Stripe did not sign, cut short or sent too long ago is not stored', async () => {
    const world = await makeInboxWorld(db, finishing(db))
    const event = snapshot('invoice.paid', 'in_4')
    const text = JSON.stringify(event)
    expect(await world.send(text, sign(text, world.clock.now(), 'whsec_wrong'))).toBe(400)
    expect(await world.send(text.replace('in_4', 'in_5'), sign(text, world.clock.now()))).toBe(400)
    expect(await world.send(text, sign(text, world.clock.now() - 600_000))).toBe(400)
    expect(await world.send(text, '')).toBe(400)
    expect(await world.send('{"object":"event"}')).toBe(400)
    const large = JSON.stringify({ ...event, filler: 'x'.repeat(STRIPE_EVENT_BYTES_MAX) })
    expect(await world.send(large)).toBe(413)
    expect(await world.find(event.id)).toBeUndefined()
  })

  test('a delivery that is sent again as it was changes nothing, and later is refused', async () => {
    const seen: string[] = []
    const world = await makeInboxWorld(db, finishing(db, seen))
    const event = snapshot('invoice.paid', 'in_replayed')
    const text = JSON.stringify(event)
    const header = sign(text, world.clock.now())
    for (let at = 0; at < 3; at += 1) {
      expect(await world.send(text, header)).toBe(200)
      await world.worker.drain()
    }
    world.advance(301_000)
    expect(await world.send(text, header)).toBe(400)
    await world.worker.drain()
    expect(seen).toEqual([event.id])
    expect(await world.find(event.id)).toMatchObject({ state: 'done', deliveries: 3 })
    expect(world.hooks.deliveries.at(-1)).toBe('bad_signature')
    expect(await world.send(text, sign(text, world.clock.now() + 600_000))).toBe(400)
  })

  test('while a secret is rotated both are good, and afterwards the new one alone', async () => {
    const [before, after] = ['whsec_before', 'whsec_after']
    const during = await makeInboxWorld(db, finishing(db), [after, before])
    const signed = (world: typeof during, secret: string) => {
      const text = JSON.stringify(snapshot('invoice.paid', 'in_rotated'))
      return [text, sign(text, world.clock.now(), secret)] as const
    }
    for (const secret of [before, after]) {
      expect(await during.send(...signed(during, secret))).toBe(200)
    }
    expect(await during.send(...signed(during, 'whsec_wrong'))).toBe(400)
    const then = await makeInboxWorld(db, finishing(db), [after])
    expect(await then.send(...signed(then, before))).toBe(400)
    expect(await then.send(...signed(then, after))).toBe(200)
    // Stripe signs with each secret that is active at its side.
    const [text, first] = signed(then, before)
    const [, second = ''] = sign(text, then.clock.now(), after).split(',')
    expect(await then.send(text, `${first},${second}`)).toBe(200)
    await then.worker.drain()
  })

  test('without secrets nothing is taken', async () => {
    const world = await makeInboxWorld(db, finishing(db), [])
    expect(await world.deliver(snapshot('invoice.paid', 'in_6'))).toBe(404)
  })

  test('a poison event backs off, dies, and holds up nobody', async () => {
    const poison = snapshot('invoice.paid', 'in_poison')
    const seen: string[] = []
    const good = finishing(db, seen)
    const world = await makeInboxWorld(db, (event, finish) =>
      event.id === poison.id ? Promise.reject(new Error('po\0ison')) : good(event, finish),
    )
    await world.deliver(poison)
    for (let at = 0; at < STRIPE_EVENT_TRIES_MAX; at += 1) {
      const other = snapshot('invoice.paid', `in_good${at}`)
      await world.deliver(other)
      await world.worker.drain()
      expect(seen.at(-1)).toBe(other.id)
      expect((await world.find(poison.id))?.attempts).toBe(at + 1)
      await world.worker.drain()
      expect((await world.find(poison.id))?.attempts).toBe(at + 1)
      world.advance(2 * STRIPE_EVENT_RETRY_MS_MAX)
    }
    expect(await world.find(poison.id)).toMatchObject({ state: 'dead' })
    await world.worker.drain()
    expect((await world.find(poison.id))?.attempts).toBe(STRIPE_EVENT_TRIES_MAX)
    const found = await db.query("SELECT subject FROM findings WHERE kind = 'stripe_event_dead'")
    expect(found).toContainEqual({ subject: poison.id })
    const replayed = await world.inbox.replay(poison.id, world.clock.now())
    expect(replayed).toMatchObject({ state: 'pending', attempts: 0 })
  })

  test('an event of more credits than can be counted dies at once, with a finding', async () => {
    const event = snapshot('invoice.paid', 'in_past_count')
    const world = await makeInboxWorld(db, () => {
      addMicros(micros(Number.MAX_SAFE_INTEGER), micros(1))
      return Promise.resolve()
    })
    await world.deliver(event)
    await world.worker.drain()
    expect(await world.find(event.id)).toMatchObject({ state: 'dead', attempts: 1 })
    const found = await db.query("SELECT subject FROM findings WHERE kind = 'stripe_event_dead'")
    expect(found).toContainEqual({ subject: event.id })
  })

  test('an event that no worker ever came to an end with dies, and is not worked on', async () => {
    const killer = snapshot('invoice.paid', 'in_killer')
    const seen: string[] = []
    const world = await makeInboxWorld(db, finishing(db, seen))
    await world.deliver(killer)
    for (let at = 0; at < STRIPE_EVENT_TRIES_MAX; at += 1) {
      // Taken by a process that ends with it.
      const claimed = await world.inbox.claim(world.clock.now(), 1_000)
      expect(claimed.map(({ id }) => id)).toContain(killer.id)
      world.advance(2 * STRIPE_EVENT_LEASE_MS)
    }
    expect(await world.find(killer.id)).toMatchObject({ state: 'pending' })
    await world.worker.drain()
    expect(seen).not.toContain(killer.id)
    expect(await world.find(killer.id)).toMatchObject({ state: 'dead' })
    const found = await db.query("SELECT subject FROM findings WHERE kind = 'stripe_event_dead'")
    expect(found).toContainEqual({ subject: killer.id })
    await world.inbox.replay(killer.id, world.clock.now())
    await world.worker.drain()
    expect(await world.find(killer.id)).toMatchObject({ state: 'done', attempts: 1 })
  })

  test('an effect that fails after it wrote leaves nothing behind', async () => {
    let fail = true
    const event = snapshot('invoice.paid', 'in_atomic')
    const world = await makeInboxWorld(db, (claimed, finish) =>
      db.tx(async (tx) => {
        const values = [claimed.id, new Date(world.clock.now())]
        await tx.query(
          'INSERT INTO stripe_looks (subject, number, looked_at) VALUES ($1, 1, $2)',
          values,
        )
        await finish(tx, 'written')
        if (fail) throw new Error('cut here')
      }),
    )
    await world.deliver(event)
    await world.worker.drain()
    const written = () => db.query('SELECT 1 FROM stripe_looks WHERE subject = $1', [event.id])
    expect(await written()).toHaveLength(0)
    expect((await world.find(event.id))?.state).toBe('pending')
    fail = false
    world.advance(60_000)
    await world.worker.drain()
    expect(await written()).toHaveLength(1)
    expect((await world.find(event.id))?.state).toBe('done')
  })

  test('the event of a worker that is gone is taken over, and its late answer is dropped', async () => {
    const event = snapshot('invoice.paid', 'in_gone')
    const gate = Promise.withResolvers<undefined>()
    let written = 0
    let first = true
    const world = await makeInboxWorld(db, async (_event, finish) => {
      const isFirst = first
      first = false
      if (isFirst) await gate.promise
      await db.tx(async (tx) => {
        await finish(tx, isFirst ? 'first' : 'second')
        written += 1
      })
    })
    await world.deliver(event)
    await world.worker.tick()
    world.advance(STRIPE_EVENT_LEASE_MS + 1)
    await world.another().drain()
    expect(await world.find(event.id)).toMatchObject({ state: 'done', outcome: 'second' })
    gate.resolve(undefined)
    await world.worker.idle()
    expect(written).toBe(1)
    expect((await world.find(event.id))?.outcome).toBe('second')
  })

  test('events that hang keep no more than the places they have', async () => {
    const gate = Promise.withResolvers<undefined>()
    const seen: string[] = []
    const world = await makeInboxWorld(db, async (event, finish) => {
      if (event.objectId === 'in_hang') await gate.promise
      else await finishing(db, seen)(event, finish)
    })
    for (let at = 1; at < STRIPE_EVENTS_AT_ONCE_MAX; at += 1) {
      await world.deliver(snapshot('invoice.paid', 'in_hang'))
    }
    await world.worker.tick()
    const good = snapshot('invoice.paid', 'in_free')
    await world.deliver(good)
    await world.worker.tick()
    await until(async () => (await world.find(good.id))?.state === 'done')
    gate.resolve(undefined)
    await world.worker.idle()
  })

  test('deliveries that come at once are each stored and answered, repeats among them', async () => {
    const world = await makeInboxWorld(db, finishing(db))
    const known = snapshot('invoice.paid', 'in_known')
    await world.deliver(known)
    const fresh = Array.from({ length: 70 }, (_, at) => snapshot('invoice.paid', `in_at${at}`))
    const twice = fresh.slice(0, 30)
    const sent = [...fresh, known, ...twice, ...twice]
    expect(await Promise.all(sent.map((event) => world.deliver(event)))).toEqual(
      sent.map(() => 200),
    )
    const count = (result: string) => world.hooks.deliveries.filter((one) => one === result).length
    expect([count('stored'), count('duplicate')]).toEqual([71, 61])
    const rows = await db.query(
      'SELECT deliveries, count(*) FROM stripe_events WHERE id = ANY($1) GROUP BY 1 ORDER BY 1',
      [sent.map(({ id }) => id)],
    )
    expect(rows).toEqual([
      { deliveries: 1, count: 40 },
      { deliveries: 2, count: 1 },
      { deliveries: 3, count: 30 },
    ])
  })

  test('a delivery that Postgres refuses fails alone, and a sync counts no delivery', async () => {
    const { inbox, clock } = await makeInboxWorld(db, finishing(db))
    const delivery = (fields: object, source: 'webhook' | 'sync'): Delivery => {
      const payload = JSON.stringify(snapshot('invoice.paid', 'in_8', fields))
      const event = readEvent(payload)
      if (event === null) throw new Error('not an event')
      return { event, payload, source, ignored: null }
    }
    const [first, other] = [delivery({}, 'webhook'), delivery({}, 'webhook')]
    const poison = { ...delivery({}, 'webhook'), payload: 'po\0ison' }
    const same = { ...other, source: 'sync' } as const
    const sent = [first, same, poison, other, same, delivery({}, 'sync')]
    const kept = await Promise.allSettled(sent.map((one) => inbox.store(one, clock.now())))
    expect(kept.map((one) => (one.status === 'fulfilled' ? one.value : null))).toEqual([
      { isNew: true, deliveries: 1 },
      { isNew: true, deliveries: 1 },
      null,
      { isNew: false, deliveries: 2 },
      { isNew: false, deliveries: 2 },
      { isNew: true, deliveries: 1 },
    ])
  })

  test('what is delivered goes before what was fetched or replayed, whose delay is no fault', async () => {
    const worked: string[] = []
    const effect: Effect = async (event, finish) => {
      worked.push(event.objectId ?? '')
      await db.tx((tx) => finish(tx, 'ok'))
    }
    const world = await makeInboxWorld(db, effect)
    const old = snapshot('invoice.paid', 'in_replayed')
    await world.deliver(old)
    await world.worker.drain()
    const fetched = Array.from({ length: 20 }, (_, at) => snapshot('invoice.paid', `in_sync${at}`))
    for (const one of fetched) {
      const payload = JSON.stringify(one)
      const event = readEvent(payload)
      if (event === null) throw new Error('not an event')
      await world.inbox.store({ event, payload, source: 'sync', ignored: null }, world.clock.now())
    }
    await world.inbox.replay(old.id, world.clock.now())
    world.advance(60_000)
    await world.deliver(snapshot('invoice.paid', 'in_live'))
    world.advance(7_000)
    worked.length = 0
    const { durations } = world.hooks
    durations.length = 0
    await world.worker.drain()
    expect(worked.indexOf('in_live')).toBeLessThan(STRIPE_EVENTS_AT_ONCE_MAX)
    expect(worked).toHaveLength(22)
    expect([durations.filter((one) => one !== null), durations.length]).toEqual([[7_000], 22])
  })

  test('what could not be stored is not answered 2xx', async () => {
    const world = await makeInboxWorld(
      { ...db, query: () => Promise.reject(new UnknownOutcomeError('cut')) },
      finishing(db),
    )
    expect(await world.deliver(snapshot('invoice.paid', 'in_7'))).toBe(503)
    expect(world.hooks.deliveries).toEqual(['not_stored'])
  })
})

test('two processes share the work without doing any of it twice', async () => {
  await using own = await testDb('postgres')
  const seen: string[] = []
  const world = await makeInboxWorld(own.db, finishing(own.db, seen))
  const sent = Array.from({ length: 60 }, (_, at) => snapshot('invoice.paid', `in_${at}`))
  await Promise.all(sent.map((event) => world.deliver(event)))
  await Promise.all([world.worker, world.another(), world.another()].map((one) => one.drain()))
  expect(seen.toSorted()).toEqual(sent.map(({ id }) => id).toSorted())
})
