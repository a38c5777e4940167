import { missing } from './faults.ts'
import { text, type Json, type Obj } from './json.ts'
import { makeRandom, type Random } from './random.ts'
import shapes from './shapes.json' with { type: 'json' }
import { makeTimeline, type Timeline } from './timeline.ts'

/** The version this simulator speaks: the one the `stripe` package in use pins. */
export const API_VERSION = '2026-10-28.endive'

const SHAPES: Obj = shapes
export const DAY_S = 86_400
export const HOUR_S = 3_600

/** One change that endpoints are told about. */
export interface Emitted {
  readonly type: string
  readonly eventId: string
}

/** What a test or an operator may set; see README.md. */
export interface Settings {
  /** Added to Checkout's totals, percent. */
  tax_percent: number
  /** How long a delayed payment method takes. */
  delayed_payment_s: number
  /** How long a refund behaves before it fails. */
  refund_fail_s: number
  /** Which clock stamps signatures: the receivers' is the wall's. */
  signature_clock: 'wall' | 'stripe'
  /** Waits between tries of a delivery. */
  webhook_retry_s: number[]
  /** How long an invoice of a period stays a draft. */
  finalize_s: number
  /** How long before its period ends a subscription's next invoice is announced. */
  upcoming_s: number
  /** What was not paid by then is `incomplete_expired`. */
  incomplete_expires_s: number
  /** Waits between tries to collect an invoice; after the last one `dunning_end` rules. */
  dunning_days: number[]
  dunning_end: 'cancel' | 'unpaid' | 'past_due' | 'pause'
  dunning_invoice: 'leave' | 'uncollectible'
}

const SETTINGS: Settings = {
  tax_percent: 0,
  delayed_payment_s: 3 * DAY_S,
  refund_fail_s: 2 * DAY_S,
  signature_clock: 'wall',
  webhook_retry_s: [60, 300, 1800, HOUR_S, 6 * HOUR_S, 12 * HOUR_S, DAY_S],
  finalize_s: HOUR_S,
  upcoming_s: 3 * DAY_S,
  incomplete_expires_s: 23 * HOUR_S,
  dunning_days: [3, 5, 7],
  dunning_end: 'cancel',
  dunning_invoice: 'leave',
}

/** Everything the simulated Stripe knows. Objects are the API's own; `notes` are its secrets. */
export interface World {
  readonly random: Random
  readonly timeline: Timeline
  readonly settings: Settings
  /** Our own address, for pages. */
  base: string
  /** Emitted since the last call's end, in order. */
  outbox: Emitted[]
  /** Called after each snapshot event. */
  readonly watchers: ((type: string, source: Obj) => void)[]
  readonly now: () => number
  id(prefix: string): string
  /** A new object of `kind`, kept under a new id. */
  make(kind: string, prefix: string, values: Obj): Obj
  keep(kind: string, made: Obj): Obj
  find(id: string | null): Obj | null
  /** Throws 404 resource_missing where there is none of `kind`. */
  get(kind: string, id: string, param?: string): Obj
  all(kind: string): Obj[]
  drop(kind: string, id: string): void
  /** What is known of `id` beside its object. */
  note(id: string): Obj
  /** Moves the clock, with what falls due on the way; set by who delivers the events. */
  advance: (toS: number) => Promise<void>
}

/** A fresh object of `kind`: every required field at its neutral value. */
export function shape(kind: string, values: Obj): Obj {
  const base = SHAPES[kind]
  if (typeof base !== 'object' || base === null || Array.isArray(base)) {
    throw new Error(`no shape for ${kind}`)
  }
  return { ...structuredClone(base), ...values }
}

export interface WorldOptions {
  readonly seed: number
  /** Unix seconds at which the clock stands until moved; null: it runs with the wall. */
  readonly frozenAtS: number | null
  readonly wallMs: () => number
}

export function makeWorld(options: WorldOptions): World {
  const random = makeRandom(options.seed)
  const timeline = makeTimeline(options.frozenAtS, options.wallMs)
  const tables = new Map<string, Map<string, Obj>>()
  const everything = new Map<string, Obj>()
  const notes = new Map<string, Obj>()
  const table = (kind: string): Map<string, Obj> => {
    const known = tables.get(kind) ?? new Map<string, Obj>()
    tables.set(kind, known)
    return known
  }
  const keep = (kind: string, made: Obj): Obj => {
    const id = text(made, 'id')
    table(kind).set(id, made)
    everything.set(id, made)
    return made
  }
  const id = (prefix: string): string => `${prefix}_${random.letters(24)}`
  return {
    random,
    timeline,
    settings: structuredClone(SETTINGS),
    base: '',
    outbox: [],
    watchers: [],
    now: timeline.now,
    id,
    keep,
    make: (kind, prefix, values) =>
      keep(kind, shape(kind, { id: id(prefix), created: timeline.now(), ...values })),
    find: (key) => (key === null ? null : (everything.get(key) ?? null)),
    get(kind, key, param) {
      const found = table(kind).get(key)
      if (found === undefined) throw missing(kind.replaceAll('.', '_'), key, param)
      return found
    },
    all: (kind) => [...table(kind).values()],
    drop(kind, key) {
      table(kind).delete(key)
      everything.delete(key)
    },
    note(key) {
      const known = notes.get(key) ?? {}
      notes.set(key, known)
      return known
    },
    advance: (toS) => timeline.advanceTo(toS, () => Promise.resolve()),
  }
}

/** Changes an object in place and says what it was before, for `previous_attributes`. */
export function change(target: Obj, values: Obj): Obj {
  const previous: Obj = {}
  for (const [key, value] of Object.entries(values)) {
    const old: Json = target[key] ?? null
    if (JSON.stringify(old) !== JSON.stringify(value)) previous[key] = structuredClone(old)
    target[key] = value
  }
  return previous
}
