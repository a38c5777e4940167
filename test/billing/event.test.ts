import { expect, test } from 'vitest'
import { readEvent } from '../../src/billing/event.ts'

const snapshot = {
  id: 'evt_1',
  object: 'event',
  type: 'invoice.paid',
  created: 1_800_000_000,
  livemode: false,
  api_version: '2026-10-28.endive',
  data: { object: { id: 'in_1', object: 'invoice' } },
}
const thin = {
  id: 'evt_2',
  object: 'v2.core.event',
  type: 'v1.invoice.paid',
  created: '2027-01-15T08:00:00.000Z',
  livemode: false,
  related_object: { id: 'in_1', type: 'invoice', url: '/v1/invoices/in_1' },
  snapshot_event: 'evt_1',
}
const read = (value: unknown) => readEvent(JSON.stringify(value))

test('a snapshot and a thin event of one change name the same thing', () => {
  const expected = { type: 'invoice.paid', objectId: 'in_1', occurredAtMs: 1_800_000_000_000 }
  expect(read(snapshot)).toMatchObject({ id: 'evt_1', isThin: false, ...expected })
  expect(read(thin)).toMatchObject({ id: 'evt_2', isThin: true, ...expected })
})

test('an unknown type, an object without an id and no object at all are events', () => {
  expect(read({ ...snapshot, type: 'some.thing.of-2031' })?.type).toBe('some.thing.of-2031')
  expect(read({ ...snapshot, data: { object: {} } })?.objectId).toBeNull()
  expect(read({ ...thin, related_object: {} })?.objectId).toBeNull()
  expect(read({ ...thin, related_object: null })?.objectId).toBeNull()
})

test('an object that an operator named is named in full', () => {
  const data = { object: { id: 'BLACK-FRIDAY.26' } }
  expect(read({ ...snapshot, data })?.objectId).toBe('BLACK-FRIDAY.26')
})

test('what exists as a thin event only keeps its name', () => {
  const type = 'v1.billing.meter.error_report_triggered'
  expect(read({ ...thin, type })?.type).toBe(type)
})

test('a connected account is told apart', () => {
  expect(read({ ...snapshot, account: 'acct_9' })?.stripeAccount).toBe('acct_9')
  expect(read({ ...thin, context: 'acct_9' })?.stripeAccount).toBe('acct_9')
  expect(read(snapshot)?.stripeAccount).toBeNull()
})

test.each([
  ['no JSON', '{'],
  ['null', 'null'],
  ['a list', '[]'],
  ['another object', '{"id":"cus_1","object":"customer"}'],
  ['an id with NUL', JSON.stringify({ ...snapshot, id: 'evt_\0' })],
  ['no mode', JSON.stringify({ ...snapshot, livemode: undefined })],
])('%s is no event', (_name, text) => {
  expect(readEvent(text)).toBeNull()
})
