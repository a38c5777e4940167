import { isUndelivered } from './delivery.ts'
import { emitThin, isoTime } from './events.ts'
import { child, has, flag, mergeMetadata, pick, text, texts, textOr, type Obj } from './json.ts'
import { matching, page } from './paging.ts'
import { route, type Call, type Route } from './route.ts'
import { change, DAY_S, shape, type World } from './world.ts'

const EVENTS_KEPT_S = 30 * DAY_S

/** Where events go: classic endpoints (snapshots) and v2 destinations (snapshot or thin). */
export function endpointRoutes(world: World): Route[] {
  return [...classic(world), ...destinations(world), ...listed(world)]
}

function newSecret(world: World, id: string): string {
  const secret = `whsec_${world.random.letters(32)}`
  world.note(id).secrets = [secret]
  return secret
}

/** A classic endpoint; its secret is shown this once. */
export function makeEndpoint(world: World, input: Obj): Obj & { readonly secret: string } {
  const made = world.keep(
    'webhook_endpoint',
    shape('webhook_endpoint', {
      id: textOr(input, 'id') ?? world.id('we'),
      created: world.now(),
      ...pick(input, ['url', 'api_version', 'description']),
      enabled_events: texts(input, 'enabled_events'),
      metadata: mergeMetadata({}, input),
      status: 'enabled',
    }),
  )
  return { ...made, secret: newSecret(world, text(made, 'id')) }
}

function classic(world: World): Route[] {
  const one = ({ path }: Call): Obj => world.get('webhook_endpoint', path.id ?? '')
  return [
    route('POST /v1/webhook_endpoints', ({ input }) => makeEndpoint(world, input)),
    route('GET /v1/webhook_endpoints', ({ input, url }) =>
      page(world.all('webhook_endpoint'), input, url),
    ),
    route('GET /v1/webhook_endpoints/{id}', one),
    route('POST /v1/webhook_endpoints/{id}', (call) => {
      const endpoint = one(call)
      const { input } = call
      change(endpoint, {
        ...pick(input, ['url', 'description']),
        ...(has(input, 'enabled_events') ? { enabled_events: texts(input, 'enabled_events') } : {}),
        ...(has(input, 'disabled')
          ? { status: flag(input, 'disabled') ? 'disabled' : 'enabled' }
          : {}),
        metadata: mergeMetadata(child(endpoint, 'metadata'), input),
      })
      return endpoint
    }),
    route('DELETE /v1/webhook_endpoints/{id}', (call) => {
      const id = text(one(call), 'id')
      world.drop('webhook_endpoint', id)
      return shape('deleted_webhook_endpoint', { id })
    }),
  ]
}

function makeDestination(world: World, { input }: Call): Obj {
  const id = world.id('ed_test')
  const secret = newSecret(world, id)
  const webhook = child(input, 'webhook_endpoint')
  const made = shape('v2.core.event_destination', {
    id,
    created: isoTime(world.now()),
    updated: isoTime(world.now()),
    enabled_events: texts(input, 'enabled_events'),
    event_payload: text(input, 'event_payload'),
    events_from: ['self'],
    metadata: mergeMetadata({}, input),
    ...pick(input, ['snapshot_api_version']),
    name: text(input, 'name'),
    description: text(input, 'description'),
    status: 'enabled',
    type: 'webhook_endpoint',
    webhook_endpoint: { url: text(webhook, 'url') },
  })
  world.keep('v2.core.event_destination', made)
  return { ...made, webhook_endpoint: { url: text(webhook, 'url'), signing_secret: secret } }
}

function destinations(world: World): Route[] {
  const one = ({ path }: Call): Obj => world.get('v2.core.event_destination', path.id ?? '')
  const turned = (call: Call, status: string): Obj => {
    const found = one(call)
    change(found, { status, updated: isoTime(world.now()) })
    return found
  }
  return [
    route('POST /v2/core/event_destinations', (call) => makeDestination(world, call)),
    route('GET /v2/core/event_destinations', () => v2List(world.all('v2.core.event_destination'))),
    route('GET /v2/core/event_destinations/{id}', one),
    route('POST /v2/core/event_destinations/{id}', (call) => {
      const found = one(call)
      const { input } = call
      change(found, {
        ...pick(input, ['name', 'description']),
        ...(has(input, 'enabled_events') ? { enabled_events: texts(input, 'enabled_events') } : {}),
        ...(has(input, 'webhook_endpoint')
          ? { webhook_endpoint: { url: text(child(input, 'webhook_endpoint'), 'url') } }
          : {}),
        updated: isoTime(world.now()),
      })
      return found
    }),
    route('POST /v2/core/event_destinations/{id}/disable', (call) => turned(call, 'disabled')),
    route('POST /v2/core/event_destinations/{id}/enable', (call) => turned(call, 'enabled')),
    route('POST /v2/core/event_destinations/{id}/ping', (call) => {
      const id = text(one(call), 'id')
      emitThin(world, 'v2.core.event_destination.ping', {
        related_object: {
          id,
          type: 'v2.core.event_destination',
          url: `/v2/core/event_destinations/${id}`,
        },
      })
      return world.all('v2.core.event').at(-1) ?? {}
    }),
    route('DELETE /v2/core/event_destinations/{id}', (call) => {
      const id = text(one(call), 'id')
      world.drop('v2.core.event_destination', id)
      return { id, object: 'v2.core.event_destination' }
    }),
  ]
}

const v2List = (data: Obj[]): Obj => ({ data, next_page_url: null, previous_page_url: null })

function listed(world: World): Route[] {
  const young = (one: Obj): boolean => Number(one.created) > world.now() - EVENTS_KEPT_S
  return [
    route('GET /v1/events', ({ input, url }) => {
      const types = texts(input, 'types')
      const failed = textOr(input, 'delivery_success') === 'false'
      const found = world
        .all('event')
        .filter(young)
        .filter(matching(input, ['type']))
        .filter((one) => types.length === 0 || types.includes(text(one, 'type')))
        .filter((one) => !failed || isUndelivered(world, one))
      return page(found, input, url)
    }),
    route('GET /v1/events/{id}', ({ path }) => world.get('event', path.id ?? '')),
    route('GET /v2/core/events', (call) => thinList(world, call)),
    route('GET /v2/core/events/{id}', ({ path }) => world.get('v2.core.event', path.id ?? '')),
  ]
}

const THIN_LIMIT = 20

/** The range is in whole seconds, although v2 writes its times in words. */
function isWithin(range: Obj, atS: number): boolean {
  const bound = (name: string, without: number): number => Number(range[name] ?? without)
  return Math.floor(atS) >= bound('gte', 0) && Math.floor(atS) <= bound('lte', Infinity)
}

/** v2 pages by address: the next one starts after the last event of this. */
function thinList(world: World, { input, url }: Call): Obj {
  const types = texts(input, 'types')
  const objectId = textOr(input, 'object_id')
  const created = child(input, 'created')
  const found = world
    .all('v2.core.event')
    .filter((one) => types.length === 0 || types.includes(text(one, 'type')))
    .filter((one) => objectId === null || child(one, 'related_object').id === objectId)
    .filter((one) => isWithin(created, Date.parse(text(one, 'created')) / 1000))
    .reverse()
  const limit = Math.min(100, Number(textOr(input, 'limit') ?? THIN_LIMIT))
  const at = Number(textOr(input, 'page') ?? 0)
  const next = found.length > at + limit ? `${url}?limit=${limit}&page=${at + limit}` : null
  const data = found.slice(at, at + limit).map((one) => ({ ...one, data: {} }))
  return { data, next_page_url: next, previous_page_url: null }
}
