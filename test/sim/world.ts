import { randomBytes, randomUUID } from 'node:crypto'
import { makeAccounts } from '../../src/access/accounts.ts'
import { makeKeys } from '../../src/access/keys.ts'
import type { CreditEngine } from '../../src/credits/commands.ts'
import {
  makeEmbeddedStore,
  type EmbeddedStore,
  type Snapshot,
} from '../../src/credits/embedded/store.ts'
import { makeEngine } from '../../src/credits/engine.ts'
import { makeIncarnations } from '../../src/credits/incarnations.ts'
import { makeCredits, type Credits } from '../../src/credits/lifecycle.ts'
import type { CommandName, Input, Transport } from '../../src/credits/transport.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import type { Ids } from '../../src/kernel/ids.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { micros, ZERO } from '../../src/kernel/money.ts'
import { makePoster } from '../../src/ledger/group-commit.ts'
import { makeBooks } from '../../src/ledger/ledger-books.ts'
import { makePostingLedger } from '../../src/ledger/posting-ledger.ts'
import { makeLoops } from '../../src/ops/loops.ts'
import type { Db } from '../../src/store/db.ts'
import { StoreAwayError } from '../../src/store/errors.ts'
import { Scheduler, type Actor, type Faults } from './scheduler.ts'

export const LEASE_MS = 3_000
const SNAPSHOTS_KEPT = 12

/** Chances that calls go wrong in one history. */
export interface Weather {
  readonly redis: Faults
  readonly postgres: Faults
}
export const FAIR: Weather = {
  redis: { lostReply: 0, late: 0, dropped: 0 },
  postgres: { lostReply: 0, late: 0, dropped: 0 },
}
export const STORMY: Weather = {
  redis: { lostReply: 0.05, late: 0.03, dropped: 0.02 },
  // A commit whose answer is lost, or that never happened; never one that happens later.
  postgres: { lostReply: 0.04, late: 0, dropped: 0.02 },
}

/** One gateway process, as far as credits go: the real engine client, ledger, poster and loops. */
export interface SimGateway {
  readonly actor: Actor
  readonly credits: Credits
  readonly engine: CreditEngine
}

/** Two stores, some gateways and an operator, in one seeded history. */
export class World {
  readonly scheduler: Scheduler
  readonly store: EmbeddedStore
  readonly ids: Ids
  readonly gateways: SimGateway[] = []
  /** Postgres answers nobody until then. */
  postgresAwayUntilMs = 0
  accountId = ''
  keyId = ''
  readonly #db: Db
  readonly #weather: Weather
  readonly #snapshots: Snapshot[] = []
  #commands = 0

  constructor(seed: number, db: Db, weather: Weather) {
    this.scheduler = new Scheduler(seed)
    this.#db = db
    this.#weather = weather
    this.store = makeEmbeddedStore({ clock: { now: () => this.scheduler.nowMs } })
    this.ids = this.#makeIds()
  }

  /** An account with credits and one key, made in fair weather. */
  async found(credits: number, budget: number | null): Promise<void> {
    const actor: Actor = { name: 'founder', alive: true }
    const clock = this.scheduler.clockOf(actor)
    const { ids } = this
    const db = this.#db
    const made = await makeAccounts({ db, clock, ids }).create({
      id: `acct_${randomUUID()}`,
      subjectRef: null,
      name: 'Sim',
      email: null,
      stripeCustomerId: null,
      creditLimitMicros: ZERO,
      overageLimitMicros: ZERO,
      markup: null,
      actor: 'sim',
    })
    if (!('account' in made)) throw new Error('the name is taken')
    this.accountId = made.account.id
    const key = await makeKeys({ db, clock, ids, mode: 'test' }).create({
      id: null,
      accountId: this.accountId,
      limits: {
        name: 'sim',
        models: null,
        endpoints: null,
        budget: budget === null ? null : { micros: micros(budget), period: 'day' },
        requestsPerMinute: null,
        tokensPerMinute: null,
        maxConcurrency: null,
        expiresAtMs: null,
      },
      actor: 'sim',
    })
    if (key === null) throw new Error('no key')
    this.keyId = key.key.id
    await this.#grantOn(db, clock, credits)
  }

  #grantOn(db: Db, clock: Clock, credits: number): Promise<unknown> {
    const grant = {
      accountId: this.accountId,
      micros: micros(credits),
      kind: 'paid' as const,
      priority: 0,
      effectiveAtMs: null,
      expiresAtMs: null,
      reason: 'sim',
      referenceType: 'grant',
      referenceId: this.ids.uuid(),
    }
    return makeBooks({ db, ids: this.ids }).grant(grant, clock.now())
  }

  /** Starts a process with its loops. */
  start(name: string): SimGateway {
    const { scheduler, ids } = this
    const actor: Actor = { name, alive: true }
    const clock = scheduler.clockOf(actor, scheduler.between(-400, 400))
    const db = this.#faultyDb(actor)
    const engine = makeEngine({
      transport: this.#faultyTransport(actor),
      incarnations: makeIncarnations({ db, clock }),
      clock,
      ids,
    })
    const ledger = makePostingLedger({ db, ids })
    const poster = makePoster({ ledger, clock, log: silentLog, postWaitMs: 500 })
    const credits = makeCredits({
      engine,
      ledger,
      poster,
      clock,
      log: silentLog,
      owner: name,
      leaseMs: LEASE_MS,
      durability: 'posted',
      on: { loaded: () => undefined, recovered: () => undefined },
    })
    const { random } = scheduler
    const loops = makeLoops({ clock, log: silentLog, random, onRun: () => undefined })
    loops.start({
      name: 'renew',
      periodMs: 200,
      run: async () => {
        credits.renewals.tick()
        await Promise.resolve()
      },
    })
    loops.start({
      name: 'recover',
      periodMs: LEASE_MS / 3,
      run: async () => {
        await credits.recovery.sweep()
      },
    })
    loops.start({ name: 'changes', periodMs: 1_500, run: () => credits.changes.sweep() })
    const gateway: SimGateway = { actor, credits, engine }
    this.gateways.push(gateway)
    return gateway
  }

  alive(): SimGateway[] {
    return this.gateways.filter(({ actor }) => actor.alive)
  }

  /** An operator's grant while everything goes on, told to the engine like the admin API does. */
  async grant(gateway: SimGateway, credits: number): Promise<void> {
    const db = this.#faultyDb(gateway.actor)
    try {
      await this.#grantOn(db, this.scheduler.clockOf(gateway.actor), credits)
      await gateway.credits.loads.account(this.accountId, 'changed')
    } catch {
      // The operator sees an error; the sweep tells the engine what was committed.
    }
  }

  emptyRedis(): void {
    this.scheduler.log.push('*** redis emptied')
    this.store.wipe()
  }

  /** A failover to a replica that fell behind. */
  rollBackRedis(): void {
    const older = this.#snapshots[this.scheduler.below(this.#snapshots.length)]
    if (older === undefined) return
    this.scheduler.log.push('*** redis rolled back')
    this.store.restore(older)
  }

  #faultyTransport(actor: Actor): Transport {
    const { scheduler } = this
    const real = this.store.connect()
    const faults = this.#weather.redis
    return {
      ...real,
      run: <N extends CommandName>(name: N, shard: number, input: Input<N>, inc: number) =>
        scheduler.call(
          actor,
          `${actor.name} ${name} ${'holdId' in input ? input.holdId.slice(-4) : ''} #${inc}`,
          async () => {
            const reply = await real.run(name, shard, input, inc)
            this.#remember()
            return reply
          },
          faults,
        ),
      loadScripts: (node, inc) =>
        scheduler.call(
          actor,
          `${actor.name} scripts #${inc}`,
          () => real.loadScripts(node, inc),
          faults,
        ),
      timeMs: () => scheduler.call(actor, `${actor.name} time`, () => real.timeMs(), faults),
    }
  }

  #remember(): void {
    this.#commands += 1
    if (this.#commands % 3 !== 0) return
    this.#snapshots.push(this.store.snapshot())
    if (this.#snapshots.length > SNAPSHOTS_KEPT) this.#snapshots.shift()
  }

  #faultyDb(actor: Actor): Db {
    const { scheduler } = this
    const real = this.#db
    const faults = this.#weather.postgres
    const guarded = <T>(label: string, run: () => Promise<T>): Promise<T> =>
      scheduler.call(
        actor,
        `${actor.name} ${label}`,
        () => {
          if (scheduler.nowMs < this.postgresAwayUntilMs && !scheduler.calm) {
            return Promise.reject(new StoreAwayError('postgres is away'))
          }
          return run()
        },
        faults,
      )
    return {
      kind: real.kind,
      query: (sql, params) => guarded('query', () => real.query(sql, params)),
      tx: (run, options) => guarded('tx', () => real.tx(run, options)),
      close: () => Promise.resolve(),
    }
  }

  /** UUIDv7 in shape, unique over histories: time, a counter, and a part drawn once. */
  #makeIds(): Ids {
    let counter = 0
    const own = randomUUID().slice(-12)
    return {
      uuid: () => {
        counter += 1
        const time = this.scheduler.nowMs.toString(16).padStart(12, '0')
        const count = counter.toString(16).padStart(6, '0')
        const [low, high] = [count.slice(3), count.slice(0, 3)]
        return `${time.slice(0, 8)}-${time.slice(8)}-7${low}-8${high}-${own}`
      },
      secret: (bytes) => randomBytes(bytes).toString('base64url'),
    }
  }
}
