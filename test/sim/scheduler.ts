import type { Clock } from '../../src/kernel/clock.ts'
import { UnknownOutcomeError } from '../../src/kernel/errors.ts'

/** Somebody who acts: a gateway process. A dead one never hears of anything again. */
export interface Actor {
  readonly name: string
  alive: boolean
}

/** Chances out of 1 that a call to a store goes wrong. Source: hold-model.py. */
export interface Faults {
  /** Carried out, the answer lost. */
  readonly lostReply: number
  /** The caller gives up; it is carried out later, among other things. */
  readonly late: number
  /** Never carried out; the caller does not know. */
  readonly dropped: number
}

interface Pending {
  readonly actor: Actor
  readonly label: string
  readonly run: () => Promise<unknown>
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
  readonly faults: Faults
}

/** Carried out later than its caller waits for: among other things, or long after. */
interface Late {
  readonly run: () => Promise<unknown>
  readonly atMs: number
}

/** What befalls an actor right after one of its calls was carried out, before the answer. */
export interface Ambush {
  readonly label: RegExp
  /** Calls of that label that pass unharmed. */
  spared: number
  readonly strike: (actor: Actor) => void
}

interface Timer {
  readonly actor: Actor
  readonly atMs: number
  readonly order: number
  readonly run: () => void
}

/** Small, fast, seeded: mulberry32. */
function makeRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const START_MS = Date.UTC(2026, 0, 31, 23, 59, 0)
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/**
 * Owns time, order and faults. Every call to a store waits here until it is picked; between two
 * picks all promises run to rest, so a seed always gives the same history.
 */
export class Scheduler {
  readonly random: () => number
  readonly log: string[] = []
  calm = false
  ambush: Ambush | null = null
  #nowMs = START_MS
  #order = 0
  #pending: Pending[] = []
  #late: Late[] = []
  #timers: Timer[] = []
  readonly #frozenUntilMs = new Map<Actor, number>()

  constructor(seed: number) {
    this.random = makeRandom(seed)
  }

  get nowMs(): number {
    return this.#nowMs
  }

  chance(probability: number): boolean {
    return this.random() < probability
  }

  below(limit: number): number {
    return Math.floor(this.random() * limit)
  }

  between(low: number, high: number): number {
    return low + this.below(high - low + 1)
  }

  /** A clock whose timers die with their actor; `skewMs` is how wrong its wall time is. */
  clockOf(actor: Actor, skewMs = 0): Clock {
    return {
      now: () => this.#nowMs + skewMs,
      monotonicMs: () => this.#nowMs - START_MS,
      after: (delayMs, run) => {
        const order = (this.#order += 1)
        const timer: Timer = {
          actor,
          atMs: this.#nowMs + Math.ceil(Math.max(0, delayMs)),
          order,
          run,
        }
        this.#timers.push(timer)
        return () => {
          this.#timers = this.#timers.filter((other) => other !== timer)
        }
      },
    }
  }

  /** A call to a store: carried out when picked, or lost, late or dropped. */
  call<T>(actor: Actor, label: string, run: () => Promise<T>, faults: Faults): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const answer = (value: unknown): void => {
        resolve(value as T)
      }
      this.#pending.push({ actor, label, run, resolve: answer, reject, faults })
    })
  }

  /** Kills an actor at whatever it was doing. What it has sent may still arrive. */
  crash(actor: Actor): void {
    this.log.push(`*** crash ${actor.name}`)
    actor.alive = false
    const sent = this.#pending.filter((pending) => pending.actor === actor)
    for (const pending of sent) if (this.chance(0.5)) this.#delay(pending)
    this.#pending = this.#pending.filter((pending) => pending.actor !== actor)
    this.#timers = this.#timers.filter((timer) => timer.actor !== actor)
  }

  /** Stops an actor as SIGSTOP does: no timer fires, no answer arrives, until it goes on. */
  freeze(actor: Actor, forMs: number): void {
    this.log.push(`*** freeze ${actor.name} for ${forMs} ms`)
    this.#frozenUntilMs.set(actor, this.#nowMs + forMs)
  }

  /** Everybody sleeps: time passes, nothing is done meanwhile. */
  sleep(forMs: number): void {
    this.#nowMs += forMs
  }

  /** Most late commands are a little late; some outlive everything they belonged to. */
  #delay({ run }: Pending): void {
    const longMs = this.chance(0.4) ? this.below(DELAY_MS_MAX) : 0
    this.#late.push({ run, atMs: this.#nowMs + longMs })
  }

  #wakesMs(actor: Actor): number {
    return this.#frozenUntilMs.get(actor) ?? 0
  }

  get idle(): boolean {
    return this.#pending.length === 0 && this.#late.length === 0
  }

  /** One step of the world: a store call, a late command, or time moving on to the next timer. */
  async step(): Promise<void> {
    await settled()
    const ready = this.#pending.filter(({ actor }) => this.#wakesMs(actor) <= this.#nowMs)
    const timeMoves = ready.length === 0 || (!this.calm && this.chance(0.1))
    const late = this.#late.filter(({ atMs }) => this.calm || atMs <= this.#nowMs)
    if (late.length > 0 && (this.calm || this.chance(0.1))) {
      const one = late[this.below(late.length)]
      this.#late = this.#late.filter((other) => other !== one)
      this.log.push('late command')
      await one?.run().catch(() => undefined)
    } else if (!timeMoves) {
      const pending = ready[this.below(ready.length)]
      this.#pending = this.#pending.filter((other) => other !== pending)
      if (pending !== undefined) await this.#carryOut(pending)
    } else {
      this.#fireNext()
    }
    await settled()
  }

  #fireNext(): void {
    const dueMs = (timer: Timer): number => Math.max(timer.atMs, this.#wakesMs(timer.actor))
    const next = this.#timers.reduce<Timer | null>((best, timer) => {
      if (best === null) return timer
      const later = dueMs(timer) - dueMs(best) || timer.order - best.order
      return later < 0 ? timer : best
    }, null)
    if (next === null) return
    this.#timers = this.#timers.filter((timer) => timer !== next)
    this.#nowMs = Math.max(this.#nowMs, dueMs(next))
    next.run()
  }

  async #carryOut(pending: Pending): Promise<void> {
    const { label, faults } = pending
    const luck = this.calm ? 1 : this.random()
    const unknown = new UnknownOutcomeError(`no answer to ${label}`)
    if (luck < faults.dropped) {
      this.log.push(`dropped ${label}`)
      pending.reject(unknown)
    } else if (luck < faults.dropped + faults.late) {
      this.log.push(`delayed ${label}`)
      this.#delay(pending)
      pending.reject(unknown)
    } else {
      const lost = luck < faults.dropped + faults.late + faults.lostReply
      await this.#run(pending, lost ? unknown : null)
    }
  }

  #surprise({ actor, label }: Pending): void {
    const { ambush } = this
    if (ambush === null || this.calm || !ambush.label.test(label)) return
    ambush.spared -= 1
    if (ambush.spared >= 0) return
    this.ambush = null
    ambush.strike(actor)
  }

  async #run(pending: Pending, lost: Error | null): Promise<void> {
    try {
      const answer = await pending.run()
      this.log.push(`${lost === null ? '' : 'answer lost: '}${pending.label} → ${brief(answer)}`)
      this.#surprise(pending)
      if (!pending.actor.alive) return
      if (lost === null) pending.resolve(answer)
      else pending.reject(lost)
    } catch (error) {
      this.log.push(`${pending.label} ✗ ${String(error)}`)
      pending.reject(error instanceof Error ? error : new Error(String(error)))
    }
  }
}

const DELAY_MS_MAX = 10_000

const brief = (value: unknown): string =>
  value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 160)
