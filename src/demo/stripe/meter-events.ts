import { emitThin, isoTime } from './events.ts'
import { invalid } from './faults.ts'
import { child, int, intOr, rows, text, textOr, type Obj } from './json.ts'
import { DAY_S, shape, type World } from './world.ts'

const PAST_DAYS_MAX = 35
const AHEAD_S_MAX = 300
const DIGITS_MAX = 15
/** Errors that a report names; it counts all of them. */
const SAMPLES_MAX = 5
/** How long events are gathered before a report tells of their errors. */
const VALIDATION_S = 10

/** How meters behave: `lag_s` of the summaries, `validation_s` and `samples` of error reports. */
export const meterSettings = (world: World): Obj => world.note('meter_settings')

interface Checked {
  readonly meter: Obj | null
  readonly customer: string
  readonly value: number
  readonly refusal: string | null
}

function meterOf(world: World, name: string): { meter: Obj | null; refusal: string | null } {
  const named = world.all('billing.meter').filter((one) => one.event_name === name)
  const active = named.find((one) => one.status === 'active')
  if (active !== undefined) return { meter: active, refusal: null }
  const [inactive] = named
  return inactive === undefined
    ? { meter: null, refusal: 'no_meter' }
    : { meter: inactive, refusal: 'archived_meter' }
}

/** What is checked at once: the shape of the value. */
function checkValue(raw: string, key: string): number {
  const value = Number(raw)
  if (raw === '' || !Number.isFinite(value) || raw.replaceAll(/[^0-9]/g, '').length > DIGITS_MAX) {
    throw invalid(`Invalid value for payload key ${key}: ${raw}`, `payload[${key}]`)
  }
  return value
}

function checked(world: World, input: Obj): Checked {
  const { meter, refusal } = meterOf(world, text(input, 'event_name'))
  const payload = child(input, 'payload')
  if (meter === null) return { meter, customer: '', value: 0, refusal }
  const customerKey = text(child(meter, 'customer_mapping'), 'event_payload_key')
  const valueKey = text(child(meter, 'value_settings'), 'event_payload_key')
  const customer = text(payload, customerKey)
  const of = { meter, customer }
  if (!(valueKey in payload)) return { ...of, value: 0, refusal: 'meter_event_value_not_found' }
  const value = checkValue(text(payload, valueKey), valueKey)
  if (customer === '') return { ...of, value, refusal: 'meter_event_no_customer_defined' }
  const isKnown = world.all('customer').some((one) => one.id === customer)
  return { ...of, value, refusal: refusal ?? (isKnown ? null : 'meter_event_customer_not_found') }
}

function checkTime(world: World, atS: number): void {
  if (atS < world.now() - PAST_DAYS_MAX * DAY_S) {
    throw invalid('The timestamp is too far in the past.', 'timestamp', 'timestamp_too_far_in_past')
  }
  if (atS > world.now() + AHEAD_S_MAX) {
    throw invalid('The timestamp is in the future.', 'timestamp', 'timestamp_in_future')
  }
}

/** Tells of the events that were refused after they had been taken, by meter. */
function reportErrors(world: World, name: string): void {
  const note = world.note(`meter_errors ${name}`)
  const errors = rows(note, 'errors')
  note.errors = []
  const samples = intOr(meterSettings(world), 'samples') ?? SAMPLES_MAX
  const byCode = Map.groupBy(errors, (one) => text(one, 'code'))
  const types = [...byCode].map(([code, of]) => ({
    code,
    error_count: of.length,
    sample_errors: of.slice(0, samples).map((one) => ({
      error_message: `The event was refused: ${code}`,
      request: { identifier: text(one, 'identifier') },
    })),
  }))
  const meter = text(note, 'meter')
  const isNone = meter === ''
  emitThin(world, `v1.billing.meter.${isNone ? 'no_meter_found' : 'error_report_triggered'}`, {
    data: {
      developer_message_summary: `There are ${errors.length} errors.`,
      reason: { error_count: errors.length, error_types: types },
      validation_start: isoTime(int(note, 'since')),
      validation_end: isoTime(world.now()),
    },
    related_object: isNone
      ? {}
      : { id: meter, type: 'billing.meter', url: `/v1/billing/meters/${meter}` },
  })
}

function refuseLater(world: World, name: string, of: Checked, identifier: string): void {
  const note = world.note(`meter_errors ${name}`)
  const errors = rows(note, 'errors')
  if (errors.length === 0) {
    note.since = world.now()
    note.meter = of.meter === null ? '' : text(of.meter, 'id')
    const waitS = intOr(meterSettings(world), 'validation_s') ?? VALIDATION_S
    world.timeline.schedule(world.now() + waitS, () => {
      reportErrors(world, name)
    })
  }
  note.errors = [...errors, { code: of.refusal, identifier }]
}

/**
 * Records usage; the same identifier within a day is refused: it is already there. Who it is of,
 * and whether the meter takes it, is found out later. Source: stripe.md §4.
 */
export function record(world: World, input: Obj, atS: number): Obj {
  const name = text(input, 'event_name')
  const of = checked(world, input)
  checkTime(world, atS)
  const identifier = textOr(input, 'identifier') ?? world.id('idmp')
  if (identifier.length > 100) throw invalid('The identifier is too long.', 'identifier')
  const known = world
    .all('usage')
    .some((one) => one.identifier === identifier && int(one, 'received') > world.now() - DAY_S)
  if (known) throw invalid(`An event already exists with identifier ${identifier}.`)
  world.keep('usage', {
    ...{ id: world.id('use'), identifier, customer: of.customer, value: of.value, at: atS },
    meter: of.meter === null ? '' : text(of.meter, 'id'),
    received: world.now(),
    canceled: of.refusal !== null,
  })
  if (of.refusal !== null) refuseLater(world, name, of, identifier)
  return shape('billing.meter_event', {
    created: world.now(),
    event_name: name,
    identifier,
    payload: child(input, 'payload'),
    timestamp: atS,
  })
}

/** Takes an event of the last day back. */
export function cancel(world: World, input: Obj): Obj {
  const identifier = text(child(input, 'cancel'), 'identifier')
  const found = world
    .all('usage')
    .find((one) => one.identifier === identifier && int(one, 'received') > world.now() - DAY_S)
  if (found === undefined) {
    throw invalid('No event of the last 24 hours has this identifier.', 'cancel[identifier]')
  }
  if (found.canceled === true) throw invalid('The event was canceled.', 'cancel[identifier]')
  found.canceled = true
  return shape('billing.meter_event_adjustment', {
    cancel: { identifier },
    event_name: text(input, 'event_name'),
    status: 'pending',
  })
}
