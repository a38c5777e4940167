import { randomBytes, randomUUID } from 'node:crypto'
import type { CreditEngine } from '../../src/credits/commands.ts'
import {
  makeEmbeddedStore,
  type EmbeddedStore,
  type Snapshot,
} from '../../src/credits/embedded/store.ts'
import { makeEngine } from '../../src/credits/engine.ts'
import { makeIncarnations } from '../../src/credits/incarnations.ts'
import { makeCredits, type Credits } from '../../src/credits/lifecycle.ts'
import {
  NOSCRIPT,
  type CommandName,
  type Input,
  type Reply,
  type Transport,
} from '../../src/credits/transport.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import type { Ids } from '../../src/kernel/ids.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { makePoster } from '../../src/ledger/group-commit.ts'
import { makePostingLedger } from '../../src/ledger/posting-ledger.ts'
import { makeLoops, type Loops } from '../../src/ops/loops.ts'
import type { Db } from '../../src/store/db.ts'
import { StoreAwayError } from '../../src/store/errors.ts'
import { breakDb, breakLedger, breakTransport, type Rule } from './broken.ts'
import { Scheduler, type Actor, type Faults } from './scheduler.ts'

export const LEASE_MS = 3_000
/** A replica may be some hundred commands behind. */
const SNAPSHOTS_KEPT = 40
const SNAPSHOT_EVERY = 5

/** Chances that calls go wrong in one history. */
export interface Weather {
  readonly redis: Faults
  readonly postgres: Faults
  readonly stripe: Faults
}
export const FAIR: Weather = {
  redis: { lostReply: 0, late: 0, dropped: 0 },
  postgres: { lostReply: 0, late: 0, dropped: 0 },
  stripe: { lostReply: 0, late: 0, dropped: 0 },
}
export const STORMY: Weather = {
  redis: { lostReply: 0.05, late: 0.03, dropped: 0.02 },
  // A commit whose answer is lost, or that never happened; never one that happens later.
  postgres: { lostReply: 0.04, late: 0, dropped: 0.02 },
  stripe: { lostReply: 0.05, late: 0, dropped: 0.05 },
}

/** Who pays, and by which keys. */
export interface SimAccount {
  readonly id: string
  readonly keyIds: readonly string[]
}

/** One gateway process, as far as credits go: the real engine client, ledger, poster and loops. */
export interface SimGateway {
  readonly actor: Actor
  readonly clock: Clock
  readonly db: Db
  readonly credits: Credits
  readonly engine: CreditEngine
  readonly loops: Loops
}

/** Hears of everything the credit state was told, in the order in which it happened there. */
export type Witness = <N extends CommandName>(
  name: N,
  input: Input<N>,
  reply: Reply<N>,
  before: Copies,
  after: Copies,
) => void

/** The copies of the account and key that a command was about. */
export interface Copies {
  readonly account: Reply<'view-account'>
  readonly key: Reply<'view-key'>
}

export interface WorldParts {
  readonly seed: number
  readonly db: Db
  readonly weather: Weather
  /** A rule of the protocol that these gateways break. null = none. */
  readonly without: Rule | null
}

/** Two stores and some gateways in one seeded history. */
export class World {
  readonly scheduler: Scheduler
  readonly store: EmbeddedStore
  readonly ids: Ids
  readonly db: Db
  readonly weather: Weather
  readonly gateways: SimGateway[] = []
  readonly witnesses: Witness[] = []
  /** What a gateway does besides credits. */
  readonly sideWork: ((gateway: SimGateway) => void)[] = []
  /** Postgres answers nobody until then. */
  postgresAwayUntilMs = 0
  /** Redis lost something in this history: what it knew alone is gone. */
  redisLost = false
  readonly #without: Rule | null
  readonly #snapshots: Snapshot[] = []
  readonly #eye: Transport
  #commands = 0

  constructor({ seed, db, weather, without }: WorldParts) {
    this.scheduler = new Scheduler(seed)
    this.db = db
    this.weather = weather
    this.#without = without
    this.store = makeEmbeddedStore({ clock: { now: () => this.scheduler.nowMs } })
    this.#eye = this.store.connect()
    this.ids = this.#makeIds()
  }

  /** Starts a process with its loops. */
  start(name: string): SimGateway {
    const { scheduler, ids } = this
    const actor: Actor = { name, alive: true }
    const clock = scheduler.clockOf(actor, scheduler.between(-400, 400))
    const db = this.faultyDb(actor)
    const engine = makeEngine({
      transport: this.#faultyTransport(actor),
      incarnations: makeIncarnations({ db, clock }),
      clock,
      ids,
      log: silentLog,
    })
    const ledger = breakLedger(
      this.#without,
      makePostingLedger({ db: breakDb(this.#without, db), ids, pauseMax: 0 }),
    )
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
      run: () => credits.renewals.tick(),
    })
    loops.start({
      name: 'recover',
      periodMs: LEASE_MS / 3,
      run: async () => {
        await credits.recovery.sweep()
      },
    })
    if (this.#without !== 'changes are swept') {
      loops.start({ name: 'changes', periodMs: 1_500, run: () => credits.changes.sweep() })
    }
    const gateway: SimGateway = { actor, clock, db, credits, engine, loops }
    this.gateways.push(gateway)
    for (const begin of this.sideWork) begin(gateway)
    return gateway
  }

  alive(): SimGateway[] {
    return this.gateways.filter(({ actor }) => actor.alive)
  }

  emptyRedis(): void {
    this.scheduler.log.push('*** redis emptied')
    this.redisLost = true
    this.store.wipe()
  }

  /** A failover to a replica that fell behind. */
  rollBackRedis(): void {
    const older = this.#snapshots[this.scheduler.below(this.#snapshots.length)]
    if (older === undefined) return
    this.scheduler.log.push('*** redis rolled back')
    this.redisLost = true
    this.store.restore(older)
  }

  #faultyTransport(actor: Actor): Transport {
    const { scheduler } = this
    const real = breakTransport(this.#without, this.store.connect())
    const faults = this.weather.redis
    return {
      ...real,
      run: <N extends CommandName>(name: N, shard: number, input: Input<N>, inc: number) =>
        scheduler.call(
          actor,
          `${actor.name} ${name} ${'holdId' in input ? input.holdId.slice(-4) : ''} #${inc}`,
          async () => {
            const before = await this.#look(input, shard, inc)
            const reply = await real.run(name, shard, input, inc)
            this.#remember()
            const after = await this.#look(input, shard, inc)
            if (reply !== NOSCRIPT && before !== null && after !== null) {
              for (const witness of this.witnesses) witness(name, input, reply, before, after)
            }
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

  /** What the copy of account and key says, by the incarnation of who asks. */
  async #look(input: Input<CommandName>, shard: number, inc: number): Promise<Copies | null> {
    if (!('accountId' in input)) return null
    const keyId = 'keyId' in input ? input.keyId : ''
    const account = await this.#eye.run('view-account', shard, input, inc)
    const key = await this.#eye.run('view-key', shard, { accountId: input.accountId, keyId }, inc)
    return account === NOSCRIPT || key === NOSCRIPT ? null : { account, key }
  }

  #remember(): void {
    this.#commands += 1
    if (this.#commands % SNAPSHOT_EVERY !== 0) return
    this.#snapshots.push(this.store.snapshot())
    if (this.#snapshots.length > SNAPSHOTS_KEPT) this.#snapshots.shift()
  }

  /** Postgres as `actor` finds it. */
  faultyDb(actor: Actor): Db {
    const { scheduler } = this
    const real = this.db
    const faults = this.weather.postgres
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
      pooled: () => real.pooled(),
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
