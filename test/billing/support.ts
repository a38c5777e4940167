import Fastify from 'fastify'
import Stripe from 'stripe'
import type { BillingHooks, DeliveryResult, RechargeEnd } from '../../src/billing/hooks.ts'
import { makeFindings } from '../../src/billing/findings.ts'
import { makeInbox } from '../../src/billing/inbox.ts'
import { WEBHOOK_PATH, webhookPlugin } from '../../src/billing/webhook.ts'
import { makeInboxWorker, type Effect } from '../../src/billing/worker.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { makeIds } from '../../src/kernel/ids.ts'
import { silentLog } from '../../src/kernel/log.ts'
import type { Db } from '../../src/store/db.ts'

export const SECRET = 'whsec_test'
export const ids = makeIds(systemClock)
const signer = new Stripe('sk_test_x', { telemetry: false })

export const sign = (payload: string, atMs: number, secret = SECRET) =>
  signer.webhooks.generateTestHeaderString({
    payload,
    secret,
    timestamp: Math.floor(atMs / 1000),
  })

/** A clock that is moved by hand; timers are the system's. */
export function handClock(startMs = Date.UTC(2027, 0, 31, 12)) {
  let nowMs = startMs
  const clock: Clock = { ...systemClock, now: () => nowMs }
  return {
    clock,
    advance: (ms: number) => {
      nowMs += ms
    },
  }
}

export function snapshot(type: string, objectId: string | null, fields: object = {}) {
  return {
    id: `evt_${ids.uuid().replaceAll('-', '')}`,
    object: 'event',
    type,
    created: 1_800_000_000,
    livemode: false,
    api_version: Stripe.API_VERSION,
    data: { object: objectId === null ? {} : { id: objectId } },
    ...fields,
  }
}

export interface CountedHooks extends BillingHooks {
  readonly deliveries: DeliveryResult[]
  readonly results: string[]
  /** What was measured of each result; null = nothing. */
  readonly durations: (number | null)[]
  readonly recharges: RechargeEnd[]
}

export function countedHooks(): CountedHooks {
  const deliveries: DeliveryResult[] = []
  const results: string[] = []
  const durations: (number | null)[] = []
  const recharges: RechargeEnd[] = []
  return {
    deliveries,
    results,
    durations,
    recharges,
    delivery: (result) => deliveries.push(result),
    processed(result, durationMs) {
      results.push(result)
      durations.push(durationMs)
    },
    usable: () => undefined,
    notGranted: () => undefined,
    recharged: (end) => recharges.push(end),
  }
}

/** The webhook's route over a database, and a worker that does `effect`. */
export async function makeInboxWorld(
  db: Db,
  effect: Effect,
  secrets: readonly string[] = [SECRET],
  elsewhere = effect,
  log = silentLog,
) {
  const { clock, advance } = handClock()
  const hooks = countedHooks()
  const inbox = makeInbox({ db, ids })
  const findings = makeFindings({ db, ids, clock })
  const parts = { inbox, effect, findings, hooks, clock, random: () => 0.5, log: silentLog }
  const app = Fastify({ genReqId: () => ids.uuid() })
  await app.register(
    async (instance, options: Parameters<typeof webhookPlugin>[1]) => {
      webhookPlugin(instance, options)
      await Promise.resolve()
    },
    { inbox, secrets, mode: 'test', hooks, clock, log },
  )
  const send = async (payload: string, header = sign(payload, clock.now())) => {
    const headers = { 'stripe-signature': header, 'content-type': 'application/json' }
    return (await app.inject({ method: 'POST', url: WEBHOOK_PATH, headers, payload })).statusCode
  }
  return {
    app,
    inbox,
    hooks,
    clock,
    advance,
    send,
    worker: makeInboxWorker(parts),
    /** A worker of another process. */
    another: () => makeInboxWorker({ ...parts, effect: elsewhere }),
    deliver: (event: object) => send(JSON.stringify(event)),
    find: async (id: string) =>
      (await inbox.list({ state: null, type: null, cursor: null, limit: 200 })).find(
        (event) => event.id === id,
      ),
  }
}
