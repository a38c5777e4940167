import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectSound } from '../ledger/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { CREDIT, DAY, HOUR, makeWorld, MINUTE, type MeterWorld } from './world.ts'

let own: TestDb
let world: MeterWorld
let price: string
beforeAll(async () => {
  own = await testDb('postgres', 12)
  world = await makeWorld(own.db)
  const meter = await world.meter()
  const made = await world.stripe.prices.create({
    currency: 'usd',
    unit_amount: 1,
    recurring: { interval: 'month', usage_type: 'metered', meter: meter.id },
    product_data: { name: 'Overage' },
  })
  price = made.id
})
afterAll(async () => {
  await expectSound(own.db)
  await world.stop()
  await own[Symbol.asyncDispose]()
})

/** An account whose customer has a subscription to the metered price. */
async function subscriber(card = 'pm_card_visa') {
  const one = await world.account()
  const method = await world.stripe.paymentMethods.attach(card, {
    customer: one.customer,
  })
  const subscription = await world.stripe.subscriptions.create({
    customer: one.customer,
    items: [{ price }],
    default_payment_method: method.id,
  })
  const [item] = subscription.items.data
  return { ...one, endMs: (item?.current_period_end ?? 0) * 1000, sub: subscription.id }
}
type Subscriber = Awaited<ReturnType<typeof subscriber>>

const goTo = (ms: number) => world.control('advance', { to: Math.ceil(ms / 1000) })
const send = async () => {
  await world.process.seal()
  await world.process.reporter.drain()
}

/** As the worker does when an event names it. */
async function look(invoice: string): Promise<readonly string[]> {
  const write = await world.process.watch('invoice', invoice)
  if (write === null) throw new Error('the invoice has no usage')
  return own.db.tx((tx) => write(tx, world.clock.now()))
}
async function newest({ sub }: Subscriber) {
  const { data } = await world.stripe.invoices.list({ subscription: sub, limit: 1 })
  const [invoice] = data
  if (invoice === undefined) throw new Error('no invoice')
  return invoice
}
const overageOf = async ({ id }: Subscriber) =>
  ((await world.books.balance(id))?.overageMicros ?? 0) / CREDIT
const billed = async ({ id }: Subscriber) =>
  (await world.books.entries(id, null, 100))
    .filter(({ movementType }) => movementType === 'billed')
    .map(({ opId, micros }) => [opId, micros / CREDIT])

test('the last minutes of a period are flushed with its invoice, billed and closed once', async () => {
  const one = await subscriber()
  await world.use(one, 5 * CREDIT)
  await goTo(one.endMs - 10 * MINUTE)
  await world.use(one, 3 * CREDIT)
  await goTo(one.endMs + MINUTE)
  await world.use(one, 2 * CREDIT) // of the next period, in the same hour
  const draft = await newest(one)
  expect(draft.status).toBe('draft')
  await look(draft.id)
  await send()
  expect(await world.reports(one)).toMatchObject([{ value: 5 }, { value: 3 }])
  await goTo(one.endMs + 2 * HOUR)
  const final = await newest(one)
  expect(final).toMatchObject({ id: draft.id, total: 8 })
  expect(await look(final.id)).toEqual([one.id])
  expect(await look(final.id)).toEqual([])
  expect(await billed(one)).toEqual([[`billed:${final.id}:ai_credits`, 8]])
  expect(await overageOf(one)).toBe(2)
  expect(await world.findings(`${final.id}:ai_credits`)).toEqual([])
  await send()
  expect(world.taken(one.customer)).toBe(10)
})

test('an account that has another customer since is closed by the invoice of the one before', async () => {
  const one = await subscriber()
  await world.use(one, 6 * CREDIT)
  await goTo(one.endMs - 10 * MINUTE)
  await send()
  const other = await world.stripe.customers.create({ email: 'other@x.example' })
  await own.db.query('UPDATE accounts SET stripe_customer_id = $2 WHERE id = $1', [
    one.id,
    other.id,
  ])
  await goTo(one.endMs + 2 * HOUR)
  const final = await newest(one)
  expect(final).toMatchObject({ total: 6 })
  expect(await look(final.id)).toEqual([one.id])
  expect(await billed(one)).toEqual([[`billed:${final.id}:ai_credits`, 6]])
  expect(await overageOf(one)).toBe(0)
})

test('an invoice that was final before its usage was told: a finding, and not closed', async () => {
  const one = await subscriber()
  await world.use(one, 5 * CREDIT)
  await goTo(one.endMs - 10 * MINUTE)
  await send()
  await world.use(one, 3 * CREDIT)
  await goTo(one.endMs + 2 * HOUR) // no news of the draft came
  const final = await newest(one)
  expect(await look(final.id)).toEqual([one.id])
  expect(await billed(one)).toEqual([[`billed:${final.id}:ai_credits`, 5]])
  expect(await world.findings(`${final.id}:ai_credits`)).toEqual(['meter_unsent_at_final'])
  // Sealed after the fact it goes with the next invoice.
  await world.nextHour()
  await send()
  expect((await world.reports(one)).at(-1)).toMatchObject({ value: 3, state: 'sent' })
  expect(Number((await world.reports(one)).at(-1)?.at)).toBeGreaterThan(one.endMs)
  expect([await overageOf(one), world.taken(one.customer)]).toEqual([3, 8])
})

test('sealed and not sent when the invoice was final: late, told, and sent by hand', async () => {
  const one = await subscriber()
  await world.use(one, 5 * CREDIT)
  await world.nextHour()
  await world.process.seal()
  await goTo(one.endMs + 2 * HOUR)
  const final = await newest(one)
  await look(final.id)
  await send()
  const [report] = await world.reports(one)
  expect(report).toMatchObject({ state: 'late', value: 5 })
  expect(await world.findings(`${final.id}:ai_credits`)).toEqual(['meter_unsent_at_final'])
  expect(await world.findings(String(report?.identifier))).toEqual(['meter_late'])
  const rows = await own.db.query('SELECT id FROM meter_reports WHERE identifier = $1', [
    String(report?.identifier),
  ])
  await world.process.resend(String(rows[0]?.id), false)
  await world.process.reporter.drain()
  expect(world.taken(one.customer)).toBe(5)
})

test('taken before the invoice was final, and known only after: closed with what was billed', async () => {
  const one = await subscriber()
  await world.use(one, 4 * CREDIT)
  await goTo(one.endMs - 30 * MINUTE)
  await world.process.seal()
  const operation = 'POST /v1/billing/meter_events'
  await world.control('api-fault', { kind: 'timeout', operation, after: true })
  await world.process.reporter.drain()
  await goTo(one.endMs + 2 * HOUR)
  const final = await newest(one)
  expect(final.total).toBe(4)
  await look(final.id)
  expect(await billed(one)).toEqual([])
  await send()
  expect((await world.reports(one)).at(-1)).toMatchObject({ state: 'sent' })
  expect(await world.process.check()).toEqual([one.id])
  expect(await look(final.id)).toEqual([])
  expect(await billed(one)).toEqual([[`billed:${final.id}:ai_credits`, 4]])
  expect(await overageOf(one)).toBe(0)
})

test('given back after it was billed: credits for who paid, and nothing is told', async () => {
  const one = await subscriber()
  const hold = await world.use(one, 5 * CREDIT)
  await world.nextHour()
  await send()
  await goTo(one.endMs + 2 * HOUR)
  await look((await newest(one)).id)
  await world.books.reverse(hold, 'wrong', world.clock.now())
  await world.advance(DAY)
  await send()
  expect(await world.reports(one)).toHaveLength(1)
  expect((await world.books.balance(one.id))?.postedMicros).toBe(5 * CREDIT)
})

test('without any news of the draft, the last usage is told when its period ends', async () => {
  const one = await subscriber()
  await own.db.query(
    `INSERT INTO subscriptions (id, account_id, customer_id, quantity, status,
       current_period_start, current_period_end, cancel_at_period_end, is_collection_paused,
       started_at, changed_at)
     VALUES ($1, $2, $3, 1, 'active', $4, $5, false, false, $4, $4)`,
    [one.sub, one.id, one.customer, new Date(world.clock.now()), new Date(one.endMs)],
  )
  await goTo(one.endMs - MINUTE)
  await world.use(one, 6 * CREDIT)
  await goTo(one.endMs + 10 * MINUTE)
  await world.use(one, 2 * CREDIT)
  await send()
  expect(await world.reports(one)).toMatchObject([{ value: 6, state: 'sent' }])
})

test('the same name again after the invoice was final: it is on it, and closed', async () => {
  const one = await subscriber()
  await world.use(one, 4 * CREDIT)
  await goTo(one.endMs - 30 * MINUTE)
  await world.process.seal()
  const operation = 'POST /v1/billing/meter_events'
  await world.control('api-fault', { kind: 'timeout', operation, after: true })
  await world.process.reporter.drain()
  await goTo(one.endMs + 2 * HOUR)
  await send() // before any news of the invoice
  const final = await newest(one)
  expect(final.total).toBe(4)
  await look(final.id)
  expect(await billed(one)).toEqual([[`billed:${final.id}:ai_credits`, 4]])
  expect(await world.findings(`${final.id}:ai_credits`)).toEqual([])
})

test('given back when the invoice was made: the next one is lower, and closes the rest', async () => {
  const one = await subscriber()
  const hold = await world.use(one, 4 * CREDIT)
  await world.use(one, 6 * CREDIT)
  await world.nextHour()
  await send()
  await goTo(one.endMs + 59 * MINUTE)
  await world.books.reverse(hold, 'wrong', world.clock.now())
  await goTo(one.endMs + 2 * HOUR)
  const first = await newest(one)
  await look(first.id)
  expect([first.total, await overageOf(one)]).toEqual([10, 0])
  await world.use(one, 7 * CREDIT)
  await world.nextHour()
  await send()
  await goTo(one.endMs + 32 * DAY)
  const { data } = await world.stripe.invoices.list({ subscription: one.sub, limit: 100 })
  const second = data.find(({ id, total, status }) => id !== first.id && total > 0 && status)
  expect(second?.total).toBe(3)
  await look(second?.id ?? '')
  expect((await billed(one)).map(([, credits]) => credits)).toEqual([7, 6])
  expect(await overageOf(one)).toBe(0)
})

test('refused after its invoice closed it, and sent again: its overage is not closed twice', async () => {
  const one = await subscriber()
  await world.use(one, 5 * CREDIT)
  await world.nextHour()
  await send()
  await goTo(one.endMs + 2 * HOUR)
  await look((await newest(one)).id)
  await own.db.query(
    "UPDATE meter_reports SET state = 'refused', sent_at = NULL WHERE account_id = $1",
    [one.id],
  )
  await world.use(one, 3 * CREDIT)
  const [{ id } = { id: '' }] = await own.db.query(
    'SELECT id FROM meter_reports WHERE account_id = $1',
    [one.id],
  )
  expect(await world.process.resend(String(id), false)).toMatchObject({
    ...{ value: 5, overageMicros: 0 },
  })
})

/** Usage that is billed, and given back before the invoice was final without Stripe being told. */
async function untoldCorrection(back: 'some' | 'all') {
  const one = await subscriber()
  const hold = await world.use(one, 4 * CREDIT)
  const other = await world.use(one, 6 * CREDIT)
  await goTo(one.endMs - 20 * HOUR)
  await send()
  await world.books.reverse(hold, 'wrong', world.clock.now())
  if (back === 'all') await world.books.reverse(other, 'wrong', world.clock.now())
  await world.nextHour()
  await world.process.seal()
  expect((await world.reports(one))[1]).toMatchObject({ kind: 'cancel', state: 'ready' })
  await goTo(one.endMs + 2 * HOUR)
  const first = await newest(one)
  await look(first.id)
  expect([first.total, await overageOf(one)]).toEqual([10, 0])
  await send()
  return one
}

test.each([
  ['some', 6],
  ['all', 0],
] as const)(
  'given back (%s) before the invoice was final and told to nobody: the next one is lower',
  async (back, owed) => {
    const one = await untoldCorrection(back)
    expect(world.taken(one.customer)).toBe(owed)
    const apart = (await world.reports(one)).filter(({ state }) => state === 'late')
    expect(apart).toEqual([])
    await world.use(one, 20 * CREDIT)
    await world.nextHour()
    await send()
    await goTo(one.endMs + 32 * DAY)
    const { data } = await world.stripe.invoices.list({ subscription: one.sub, limit: 100 })
    const second = data.find(({ period_end: end, total }) => end * 1000 > one.endMs && total > 0)
    expect(second?.total).toBe(20 - (10 - owed))
    await look(second?.id ?? '')
    expect((await billed(one)).reduce((sum, [, credits]) => sum + Number(credits), 0)).toBe(
      20 + owed,
    )
    expect(await overageOf(one)).toBe(0)
  },
)

test('given back when no other invoice will come: told to a person', async () => {
  const one = await subscriber()
  const hold = await world.use(one, 4 * CREDIT)
  await goTo(one.endMs - 20 * HOUR)
  await send()
  await world.books.reverse(hold, 'wrong', world.clock.now())
  await world.nextHour()
  await world.process.seal()
  await goTo(one.endMs + 2 * HOUR)
  await look((await newest(one)).id)
  await own.db.query('UPDATE accounts SET meter_plan = NULL WHERE id = $1', [one.id])
  await send()
  const [, cancel] = await world.reports(one)
  expect(cancel).toMatchObject({ kind: 'cancel', state: 'late' })
  expect(await world.findings(String(cancel?.identifier))).toEqual(['meter_late'])
})

/** Usage that Stripe took when the invoice of its time was final already. */
async function toldTooLate(seal = true) {
  const one = await subscriber()
  await world.use(one, 5 * CREDIT)
  await goTo(one.endMs - 30 * MINUTE)
  if (seal) await world.process.seal()
  await goTo(one.endMs + 2 * HOUR)
  if (seal) await world.process.reporter.drain()
  const final = await newest(one)
  await look(final.id)
  return { one, final, subject: `${final.id}:ai_credits` }
}
const evidenceOf = async (kind: string, subject: string) => {
  const [row] = await own.db.query(
    'SELECT evidence, at_stake_micros, state FROM findings WHERE kind = $1 AND subject = $2',
    [kind, subject],
  )
  const { evidence, at_stake_micros: stake, state } = row ?? {}
  return { ...(evidence as Record<string, unknown> | undefined), stake, state }
}
const second = async (one: Subscriber) => {
  await goTo(one.endMs + 33 * DAY)
  const { data } = await world.stripe.invoices.list({ subscription: one.sub, limit: 100 })
  const found = data.find(({ period_end: end }) => end * 1000 > one.endMs)
  if (found === undefined) throw new Error('no second invoice')
  await look(found.id)
  return found
}

test.each([2 * HOUR, 26 * HOUR])(
  'told when its invoice was final: a person moves it to the next one, which bills it once (%i ms)',
  async (laterMs) => {
    const { one, final, subject } = await toldTooLate()
    expect([final.total, await overageOf(one)]).toEqual([0, 5])
    const [report] = await world.reports(one)
    const identifier = String(report?.identifier)
    expect(report).toMatchObject({ state: 'sent', value: 5 })
    const told = { names: [identifier], in_doubt: [], billed_quantity: 0, stake: 5 * CREDIT }
    expect(await evidenceOf('meter_unsent_at_final', subject)).toMatchObject(told)
    await world.advance(laterMs)
    // Not unless it is asked for as usage of now, and not twice.
    expect(await world.process.resend(identifier, false)).toBe(false)
    expect(await world.process.resend(identifier, true)).toMatchObject({ value: 5 })
    expect(await world.process.resend(identifier, true)).toBe(false)
    await send()
    expect(world.taken(one.customer)).toBe(5)
    expect(await world.reports(one)).toMatchObject([
      { value: 5, state: 'sent', billed_by: null },
      { value: 5, state: 'sent' },
      { value: -5, state: 'sent', overage_micros: 0 },
    ])
    await world.advance(3 * HOUR)
    for (const hour of await world.compare(one)) expect(hour.accepted).toBe(hour.stripe)
    // Nothing waits any more, and looked at again the first invoice has nothing to say of it.
    expect((await evidenceOf('meter_unsent_at_final', subject)).state).toBe('open')
    await world.process.check()
    await look(final.id)
    expect((await evidenceOf('meter_unsent_at_final', subject)).state).toBe('gone')
    expect((await second(one)).total).toBe(5)
    expect(await billed(one)).toMatchObject([[expect.stringContaining('billed:'), 5]])
    expect(await overageOf(one)).toBe(0)
  },
)

test('what was moved is refused afterwards, and sent again: it stays where it was', async () => {
  const { one } = await toldTooLate()
  const [report] = await world.reports(one)
  const identifier = String(report?.identifier)
  await world.process.resend(identifier, true)
  await send()
  // Stripe takes it back, as an error report says.
  const gone = world.sim.simulator.world.all('usage').find((use) => use.identifier === identifier)
  Object.assign(gone ?? {}, { canceled: true })
  await own.db.query(
    "UPDATE meter_reports SET state = 'refused', sent_at = NULL WHERE identifier = $1",
    [identifier],
  )
  expect(world.taken(one.customer)).toBe(0)
  const again = await world.process.resend(identifier, true)
  expect(again).toMatchObject({ value: 5, atMs: Number(report?.at) })
  await send()
  expect(world.taken(one.customer)).toBe(5)
  expect((await second(one)).total).toBe(5)
  expect(await overageOf(one)).toBe(0)
})

test('what an invoice bills is not moved', async () => {
  const one = await subscriber()
  await world.use(one, 5 * CREDIT)
  await world.nextHour()
  await send()
  const [report] = await world.reports(one)
  expect(await world.process.resend(String(report?.identifier), true)).toBe(false)
  await goTo(one.endMs + 2 * HOUR)
  await look((await newest(one)).id)
  expect(await world.process.resend(String(report?.identifier), true)).toBe(false)
  expect(await world.reports(one)).toHaveLength(1)
})

test('what is on an invoice that nobody heard of is closed by it, and not moved', async () => {
  const one = await subscriber()
  await world.use(one, 5 * CREDIT)
  await world.nextHour()
  await send()
  await own.db.query(
    `INSERT INTO subscriptions (id, account_id, customer_id, quantity, status,
       current_period_start, current_period_end, cancel_at_period_end, is_collection_paused,
       started_at, changed_at)
     VALUES ($1, $2, $3, 1, 'active', $4, $5, false, false, $4, $4)`,
    [one.sub, one.id, one.customer, new Date(one.endMs - 28 * DAY), new Date(one.endMs)],
  )
  await goTo(one.endMs + 5 * DAY)
  const [report] = await world.reports(one)
  expect(await world.process.resend(String(report?.identifier), true)).toBe(false)
  expect(await billed(one)).toMatchObject([[expect.stringContaining('billed:'), 5]])
  expect([await overageOf(one), world.taken(one.customer)]).toEqual([0, 5])
  expect((await second(one)).total).toBe(0)
  await own.db.query('DELETE FROM subscriptions')
})

test('usage that was not even sealed when its invoice was final is told, with what it is worth', async () => {
  const { one, subject } = await toldTooLate(false)
  expect(await evidenceOf('meter_unsent_at_final', subject)).toMatchObject({
    ...{ reports: 0, receipts: 1, unsealed_value: '5', overage_micros: 5 * CREDIT },
    stake: 5 * CREDIT,
  })
  await world.process.check()
  expect((await evidenceOf('meter_unsent_at_final', subject)).state).toBe('open')
  // Sealed it is usage of the next invoice.
  await world.nextHour()
  await send()
  await world.process.check()
  expect((await evidenceOf('meter_unsent_at_final', subject)).state).toBe('gone')
  expect((await second(one)).total).toBe(5)
})

test('parts of a credit that are sealed when the invoice was final are closed with it', async () => {
  const one = await subscriber()
  await world.use(one, 1.4 * CREDIT)
  await goTo(one.endMs - 3 * HOUR)
  await send()
  await world.use(one, 0.4 * CREDIT)
  await goTo(one.endMs + 2 * HOUR)
  await send() // before any news of the invoice
  expect((await world.reports(one)).at(-1)).toMatchObject({ value: 0, state: 'nothing' })
  const final = await newest(one)
  expect(final.total).toBe(1)
  await look(final.id)
  expect(await overageOf(one)).toBe(0)
  expect(await world.findings(`${final.id}:ai_credits`)).toEqual([])
})

test('an error report after the invoice that closed it: told, and billed by the next one', async () => {
  const one = await subscriber()
  world.sim.simulator.world.note('meter_settings').validation_s = (40 * DAY) / 1000
  const { data } = await world.stripe.billing.meters.list()
  const meter = data[0]?.id ?? ''
  await world.use(one, 5 * CREDIT)
  await world.nextHour()
  await world.process.seal()
  // Off, and nobody knows yet: Stripe takes the event, and refuses it later.
  await world.process.directory.refresh()
  await world.stripe.billing.meters.deactivate(meter)
  await world.process.reporter.drain()
  await world.stripe.billing.meters.reactivate(meter)
  const [report] = await world.reports(one)
  expect(report).toMatchObject({ state: 'sent' })
  await goTo(one.endMs + 2 * HOUR)
  const first = await newest(one)
  expect(first.total).toBe(0)
  await look(first.id)
  expect(await billed(one)).toEqual([[`billed:${first.id}:ai_credits`, 5]])
  await world.advance(40 * DAY)
  const event = world.sim.simulator.world
    .all('v2.core.event')
    .find(({ type }) => type === 'v1.billing.meter.error_report_triggered')
  const { id, type } = event ?? {}
  if (typeof id !== 'string' || typeof type !== 'string') throw new Error('no error report')
  const write = await world.process.news({ id, type, objectId: null })
  await own.db.tx(async (tx) => write?.(tx, world.clock.now()))
  expect(await evidenceOf('meter_error_report', id)).toMatchObject({
    ...{ reports: [report?.identifier], value: 5, billed_by: [first.id], state: 'open' },
  })
  expect(await world.process.resend(String(report?.identifier), true)).toMatchObject({
    ...{ value: 5, overageMicros: 0 },
  })
  await send()
  await world.process.check()
  expect((await evidenceOf('meter_error_report', id)).state).toBe('gone')
  expect([world.taken(one.customer), await overageOf(one)]).toEqual([5, 0])
})

/** An invoice of 5 credits that nobody has paid, nor looked at. */
async function unpaidInvoice() {
  const one = await subscriber('pm_card_chargeCustomerFail')
  await world.use(one, 5 * CREDIT)
  await world.nextHour()
  await send()
  await goTo(one.endMs + 2 * HOUR)
  const final = await newest(one)
  expect(final).toMatchObject({ status: 'open', total: 5 })
  return { one, id: final.id, op: `billed:${final.id}:ai_credits` }
}

/** The same looked at before it ended so, or only then; once more changes nothing. */
async function endedAs(act: (id: string) => Promise<unknown>, isSeenBefore: boolean) {
  const { one, id, op } = await unpaidInvoice()
  if (isSeenBefore) expect(await look(id)).toEqual([one.id])
  await act(id)
  expect(await look(id)).toEqual(isSeenBefore ? [] : [one.id])
  expect(await look(id)).toEqual([])
  expect(await billed(one)).toEqual([[op, 5]])
  expect(await overageOf(one)).toBe(0)
  return { one, id }
}

test.each([true, false])(
  'an invoice made void: closed as when it was final, told with what to do (seen before: %s)',
  async (isSeenBefore) => {
    const { id } = await endedAs((one) => world.stripe.invoices.voidInvoice(one), isSeenBefore)
    const told = await evidenceOf('meter_invoice_void', `${id}:ai_credits`)
    expect(told).toMatchObject({
      ...{ invoice: id, billed_quantity: 5, overage_micros: 5 * CREDIT, stake: 5 * CREDIT },
      state: 'open',
    })
    expect(told).toHaveProperty('to_do', expect.stringContaining('bill it by hand in Stripe'))
    expect(await world.findings(`${id}:ai_credits`)).toEqual(['meter_invoice_void'])
  },
)

test('an invoice made void that bills no usage leaves nothing to decide', async () => {
  const one = await subscriber()
  const flat = await world.stripe.prices.create({
    currency: 'usd',
    unit_amount: 900,
    recurring: { interval: 'month' },
    product_data: { name: 'Plan' },
  })
  await world.stripe.subscriptionItems.create({ subscription: one.sub, price: flat.id })
  await goTo(one.endMs + MINUTE)
  const { id } = await newest(one)
  await world.stripe.invoices.finalizeInvoice(id, { auto_advance: false })
  expect(await world.stripe.invoices.voidInvoice(id)).toMatchObject({ status: 'void' })
  await look(id)
  expect(await world.findings(`${id}:ai_credits`)).toEqual([])
})

test.each([true, false])(
  'an invoice that is written off: closed once, whether it was seen before or not (%s)',
  async (isSeenBefore) => {
    const { id } = await endedAs(
      (one) => world.stripe.invoices.markUncollectible(one),
      isSeenBefore,
    )
    expect(await world.findings(`${id}:ai_credits`)).toEqual([])
  },
)

test('a credit note opens no overage again, and closes none', async () => {
  const { one, id } = await endedAs(
    (invoice) => world.stripe.creditNotes.create({ invoice, amount: 3 }),
    false,
  )
  await world.use(one, 2 * CREDIT)
  expect(await look(id)).toEqual([])
  expect([await overageOf(one), await world.findings(`${id}:ai_credits`)]).toEqual([2, []])
})

test('usage told before its plan left the configuration is closed by its invoice all the same', async () => {
  const { one, id, op } = await unpaidInvoice()
  const plans = world.configure({ meters: {}, plans: [] })
  expect(await look(id)).toEqual([one.id])
  plans.restore()
  expect(await billed(one)).toEqual([[op, 5]])
})
