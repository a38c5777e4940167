import { createHmac } from 'node:crypto'
import { pushedBody } from './events.ts'
import { child, flag, int, texts, text, textOr, type Obj } from './json.ts'
import type { WebhookTrouble, WebhookTroubles } from './webhook-faults.ts'
import type { Emitted, World } from './world.ts'

/** One body on its way to one endpoint. */
export interface Delivery {
  readonly id: string
  readonly endpoint: string
  readonly eventId: string
  readonly type: string
  readonly badSignature: boolean
  tries: number
  /** null while under way; 0 when nothing answered. */
  lastStatus: number | null
  done: boolean
}

export interface Deliveries {
  /** Sends what was emitted, faults applied. Resolves when every body had its first try. */
  send(batch: readonly Emitted[]): Promise<void>
  /** Whether a fault wants this batch to arrive before the call that caused it is answered. */
  wantsFirst(batch: readonly Emitted[]): boolean
  /** Sends held or named events now, in the order given. */
  release(order: readonly string[], copies: number, concurrent: boolean): Promise<void>
  /** Events not sent because everything is held back. */
  held(): string[]
  /** Resolves when nothing is under way. */
  idle(): Promise<void>
  readonly log: readonly Delivery[]
}

const ANSWER_MS_MAX = 20_000
const LOG_MAX = 20_000

/** What waits, and what was sent. */
interface Post {
  readonly world: World
  readonly troubles: WebhookTroubles
  readonly log: Delivery[]
  readonly held: string[]
  queue: Promise<void>
  seq: number
}

async function attempt(post: Post, delivery: Delivery): Promise<void> {
  const { world } = post
  delivery.tries += 1
  delivery.lastStatus = await push(world, delivery)
  delivery.done = delivery.lastStatus >= 200 && delivery.lastStatus < 300
  noteOutcome(world, delivery)
  const waitS = world.settings.webhook_retry_s[delivery.tries - 1]
  if (delivery.done || waitS === undefined) return
  world.timeline.schedule(world.now() + waitS, () => {
    enqueue(post, () => attempt(post, delivery))
  })
}

function enqueue(post: Post, run: () => Promise<void>): void {
  post.queue = post.queue.then(run, run)
}

function plan(post: Post, eventId: string, trouble: WebhookTrouble | null): Delivery[] {
  const { world, log } = post
  const event = world.find(eventId)
  const copies = trouble?.kind === 'duplicate' ? trouble.copies : 1
  if (event === null) return []
  const made = endpointsFor(world, event).flatMap((endpoint) =>
    Array.from({ length: copies }, () => ({
      id: `dlv_${(post.seq += 1)}`,
      endpoint: text(endpoint, 'id'),
      eventId,
      type: text(event, 'type'),
      badSignature: trouble?.kind === 'bad_signature',
      tries: 0,
      lastStatus: null,
      done: false,
    })),
  )
  log.push(...made)
  if (log.length > LOG_MAX) log.splice(0, log.length - LOG_MAX)
  return made
}

function sendAll(post: Post, planned: readonly Delivery[], concurrent: boolean): Promise<void> {
  enqueue(post, async () => {
    if (concurrent) await Promise.all(planned.map((one) => attempt(post, one)))
    else for (const delivery of planned) await attempt(post, delivery)
  })
  return post.queue
}

/** One batch: what one call or one step of the clock emitted. */
function sendBatch(post: Post, batch: readonly Emitted[]): Promise<void> {
  const { world, troubles } = post
  const now: Delivery[] = []
  const late: Delivery[] = []
  let concurrent = false
  let order: WebhookTrouble | null = null
  for (const { eventId, type } of batch) {
    if (troubles.holding) {
      post.held.push(eventId)
      continue
    }
    const trouble = troubles.take(type)
    if (trouble?.kind === 'drop') world.note(eventId).dropped = true
    else if (trouble?.kind === 'delay') {
      world.timeline.schedule(world.now() + trouble.seconds, () => {
        void sendAll(post, plan(post, eventId, null), false)
      })
    } else (trouble?.kind === 'last' ? late : now).push(...plan(post, eventId, trouble))
    concurrent ||= trouble?.kind === 'concurrent'
    if (trouble?.kind === 'reorder') order = trouble
  }
  const sorted = order === null ? now : reordered(world, order, now)
  return sendAll(post, [...sorted, ...late], concurrent)
}

export function makeDeliveries(world: World, troubles: WebhookTroubles): Deliveries {
  const post: Post = { world, troubles, log: [], held: [], queue: Promise.resolve(), seq: 0 }
  const { held } = post
  return {
    log: post.log,
    held: () => [...held],
    wantsFirst: (batch) => batch.some(({ type }) => troubles.peek(type)?.kind === 'before_answer'),
    send: (batch) => sendBatch(post, batch),
    async idle() {
      for (let seen = post.queue; ; seen = post.queue) {
        await seen
        if (seen === post.queue) return
      }
    },
    async release(order, copies, concurrent) {
      const chosen = order.length === 0 ? [...held] : [...order]
      for (const eventId of chosen) {
        const at = held.indexOf(eventId)
        if (at >= 0) held.splice(at, 1)
      }
      const planned = chosen.flatMap((eventId) =>
        Array.from({ length: copies }, () => plan(post, eventId, null)).flat(),
      )
      await sendAll(post, planned, concurrent)
    },
  }
}

const reordered = (world: World, trouble: WebhookTrouble, list: Delivery[]): Delivery[] =>
  trouble.order === 'reverse' ? [...list].reverse() : world.random.shuffle(list)

/** Enabled endpoints and destinations that want this event: snapshots to one, thin to the other. */
function endpointsFor(world: World, event: Obj): Obj[] {
  const thin = event.object === 'v2.core.event'
  const type = text(event, 'type')
  const wants = (names: readonly string[]): boolean => names.includes('*') || names.includes(type)
  const classic = thin ? [] : world.all('webhook_endpoint')
  const destinations = world
    .all('v2.core.event_destination')
    .filter((one) => text(one, 'event_payload') === (thin ? 'thin' : 'snapshot'))
  return [...classic, ...destinations].filter(
    (one) => text(one, 'status') === 'enabled' && wants(texts(one, 'enabled_events')),
  )
}

/** `t=…,v1=…`, one v1 for each active secret. Source: docs.stripe.com/webhooks */
function signatureOf(body: string, secrets: readonly string[], atS: number): string {
  const signed = secrets.map((secret) =>
    createHmac('sha256', secret).update(`${atS}.${body}`).digest('hex'),
  )
  return [`t=${atS}`, ...signed.map((hex) => `v1=${hex}`)].join(',')
}

async function push(world: World, delivery: Delivery): Promise<number> {
  const event = world.find(delivery.eventId)
  const endpoint = world.find(delivery.endpoint)
  if (event === null || endpoint === null) return 0
  const note = world.note(delivery.endpoint)
  const wall = world.settings.signature_clock === 'wall'
  const atS = wall ? Math.floor(Date.now() / 1000) : world.now()
  const body = pushedBody(event)
  const secrets = delivery.badSignature ? ['whsec_wrong'] : texts(note, 'secrets')
  const url = textOr(endpoint, 'url') ?? text(child(endpoint, 'webhook_endpoint'), 'url')
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json; charset=utf-8',
        'user-agent': 'Stripe/1.0 (+https://stripe.com/docs/webhooks)',
        'stripe-signature': signatureOf(body, secrets, atS),
      },
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    })
    await answer.arrayBuffer()
    return answer.status
  } catch {
    return 0
  }
}

/** For `delivery_success` and `pending_webhooks`: what is still undelivered, by event. */
function noteOutcome(world: World, delivery: Delivery): void {
  const event = world.find(delivery.eventId)
  if (event?.object !== 'event') return
  const note = world.note(delivery.eventId)
  note[delivery.id] = delivery.done
  event.pending_webhooks = Object.values(note).filter((done) => done === false).length
}

export const isUndelivered = (world: World, event: Obj): boolean =>
  int(event, 'pending_webhooks') > 0 || flag(world.note(text(event, 'id')), 'dropped')
