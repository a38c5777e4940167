import { emit } from './events.ts'
import { invalid } from './faults.ts'
import { child, int, intOr, pick, text, textOr, type Obj } from './json.ts'
import { cancel, meterSettings, record } from './meter-events.ts'
import { listOf, matching, page } from './paging.ts'
import { route, type Call, type Route } from './route.ts'
import { change, DAY_S, HOUR_S, shape, type World } from './world.ts'

const MINUTE_S = 60

function makeMeter(world: World, { input }: Call): Obj {
  const name = text(input, 'event_name')
  const taken = world
    .all('billing.meter')
    .some((m) => m.event_name === name && m.status === 'active')
  if (taken) throw invalid(`An active meter with event name ${name} already exists.`, 'event_name')
  const mapping = child(input, 'customer_mapping')
  const value = child(input, 'value_settings')
  const made = world.make('billing.meter', 'mtr_test', {
    display_name: text(input, 'display_name'),
    event_name: name,
    default_aggregation: { formula: text(child(input, 'default_aggregation'), 'formula') },
    customer_mapping: {
      type: 'by_id',
      event_payload_key: textOr(mapping, 'event_payload_key') ?? 'stripe_customer_id',
    },
    value_settings: { event_payload_key: textOr(value, 'event_payload_key') ?? 'value' },
    updated: world.now(),
    ...pick(input, ['event_time_window']),
  })
  emit(world, 'billing.meter.created', made)
  return made
}

/**
 * What a meter says of a customer in a window; summaries lag, invoices do not.
 * Source: docs.stripe.com/api/billing/meter
 */
export function aggregate(
  world: World,
  meter: Obj,
  customer: string,
  from: number,
  to: number,
  receivedBefore = Infinity,
): number {
  const used = world
    .all('usage')
    .filter((one) => one.meter === meter.id && one.customer === customer && one.canceled !== true)
    .filter((one) => int(one, 'at') >= from && int(one, 'at') < to)
    .filter((one) => int(one, 'received') <= receivedBefore)
  const formula = text(child(meter, 'default_aggregation'), 'formula')
  if (formula === 'count') return used.length
  if (formula === 'last') return int(used.at(-1) ?? {}, 'value')
  return used.reduce((total, one) => total + int(one, 'value'), 0)
}

function summaries(world: World, { path, input, url }: Call): Obj {
  const meter = world.get('billing.meter', path.id ?? '')
  const from = int(input, 'start_time')
  const to = int(input, 'end_time')
  const grouping = textOr(input, 'value_grouping_window')
  const step = grouping === 'hour' ? HOUR_S : grouping === 'day' ? DAY_S : to - from
  const whole = grouping === null ? MINUTE_S : step
  if (from % whole !== 0 || to % whole !== 0 || to <= from) {
    throw invalid('start_time and end_time must be aligned with the window.', 'start_time')
  }
  const seen = world.now() - (intOr(meterSettings(world), 'lag_s') ?? 0)
  const most = intOr(input, 'limit') ?? 10
  const idOf = (at: number): string => `mtrusg_${text(meter, 'id')}_${at}`
  const starts = Array.from({ length: (to - from) / step }, (_, n) => to - (n + 1) * step)
  const after = starts.findIndex((at) => idOf(at) === input.starting_after) + 1
  const data = starts.slice(after, after + most).map((at) =>
    shape('billing.meter_event_summary', {
      id: idOf(at),
      meter: text(meter, 'id'),
      start_time: at,
      end_time: at + step,
      aggregated_value: aggregate(world, meter, text(input, 'customer'), at, at + step, seen),
    }),
  )
  return listOf(data, starts.length > after + most, url)
}

export function meterRoutes(world: World): Route[] {
  const one = ({ path }: Call): Obj => world.get('billing.meter', path.id ?? '')
  const turn = (call: Call, status: 'active' | 'inactive'): Obj => {
    const meter = one(call)
    const at = status === 'active' ? null : world.now()
    change(meter, { status, updated: world.now(), status_transitions: { deactivated_at: at } })
    emit(world, `billing.meter.${status === 'active' ? 'reactivated' : 'deactivated'}`, meter)
    return meter
  }
  return [
    route('POST /v1/billing/meters', (call) => makeMeter(world, call)),
    route('GET /v1/billing/meters', ({ input, url }) =>
      page(world.all('billing.meter').filter(matching(input, ['status'])), input, url),
    ),
    route('GET /v1/billing/meters/{id}', one),
    route('POST /v1/billing/meters/{id}', (call) => {
      const meter = one(call)
      change(meter, { ...pick(call.input, ['display_name']), updated: world.now() })
      emit(world, 'billing.meter.updated', meter)
      return meter
    }),
    route('POST /v1/billing/meters/{id}/deactivate', (call) => turn(call, 'inactive')),
    route('POST /v1/billing/meters/{id}/reactivate', (call) => turn(call, 'active')),
    route('GET /v1/billing/meters/{id}/event_summaries', (call) => summaries(world, call)),
    route('POST /v1/billing/meter_events', ({ input }) =>
      record(world, input, intOr(input, 'timestamp') ?? world.now()),
    ),
    route('POST /v1/billing/meter_event_adjustments', ({ input }) => cancel(world, input)),
  ]
}
