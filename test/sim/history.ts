import type { Db } from '../../src/store/db.ts'
import type { Rule } from './broken.ts'
import { judge, watchReservations } from './judge.ts'
import { found, meddle } from './people.ts'
import { isOver, listen, send, type Sent } from './requests.ts'
import { SimShop } from './shop.ts'
import { FAIR, LEASE_MS, STORMY, World, type SimAccount, type SimGateway } from './world.ts'

export interface Plan {
  readonly stormy: boolean
  /** Crashes, freezes, losses of Redis and outages of Postgres in one history, at most. */
  readonly disasters: number
  readonly requests: number
  /** Grants, adjustments, freezes, changed limits; purchases, refunds, disputes. */
  readonly deeds: number
  readonly without?: Rule
}

export interface Verdict {
  readonly breaches: readonly string[]
  readonly log: readonly string[]
  readonly requests: readonly Sent[]
}

const CALM_MS = LEASE_MS * 6
const STEPS_MAX = 60_000
/** Longer than the lease of an event and most of its pauses. */
const NIGHT_MS = 20 * 60_000
const NIGHTS_MAX = 30

/** Everything that is yet to happen in one history. */
interface Story {
  readonly world: World
  readonly shop: SimShop
  readonly accounts: readonly SimAccount[]
  readonly requests: Sent[]
  /** One request after the other: between them everything is quiet, whatever befalls it. */
  readonly oneByOne: boolean
  readonly left: { requests: number; deeds: number; disasters: number }
}

/** One seeded history from the first request to the verdict. */
export async function runHistory(seed: number, db: Db, plan: Plan): Promise<Verdict> {
  const weather = plan.stormy ? STORMY : FAIR
  const world = new World({ seed, db, weather, without: plan.without ?? null })
  const { scheduler } = world
  const requests: Sent[] = []
  const breaches: string[] = []
  world.witnesses.push(listen(requests), watchReservations(breaches))
  const shop = new SimShop(world)
  const accounts = await found(world, scheduler.chance(0.7) ? 1 : 2)
  world.start('g0')
  world.start('g1')
  const left = {
    requests: plan.requests,
    deeds: scheduler.below(plan.deeds + 1),
    disasters: scheduler.below(plan.disasters + 1),
  }
  const oneByOne = scheduler.chance(0.3)
  await trouble({ world, shop, accounts, requests, left, oneByOne })
  scheduler.calm = true
  if (world.alive().length === 0) world.start('last')
  await settleDown(world, shop)
  breaches.push(...(await judge(world, accounts, requests)), ...(await shop.judge()))
  for (const { actor } of world.alive()) scheduler.crash(actor)
  return { breaches, log: scheduler.log, requests }
}

/** Requests, deeds and disasters in seeded order, until all were dealt out. */
async function trouble(story: Story): Promise<void> {
  const { world, left, requests } = story
  const { scheduler } = world
  let revived = 0
  for (let step = 0; step < STEPS_MAX; step++) {
    const alive = world.alive()
    const gateway = alive[scheduler.below(alive.length)]
    if (gateway === undefined) {
      revived += 1
      world.start(`again${revived}`)
    } else {
      await happen(story, gateway)
    }
    await scheduler.step()
    const isTold = left.requests + left.deeds + left.disasters === 0
    if (isTold && requests.every(isOver)) return
  }
}

async function happen(story: Story, gateway: SimGateway): Promise<void> {
  const { world, shop, accounts, requests, left } = story
  const { scheduler } = world
  const account = accounts[scheduler.below(accounts.length)]
  if (account === undefined) return
  const mayStart = !story.oneByOne || requests.every(isOver)
  if (left.requests > 0 && mayStart && scheduler.chance(0.08)) {
    left.requests -= 1
    requests.push(send(world, gateway, account))
  } else if (left.deeds > 0 && scheduler.chance(0.03)) {
    left.deeds -= 1
    if (scheduler.chance(0.4)) void meddle(world, gateway, account)
    else if (scheduler.chance(0.5)) await shop.buy(account)
    else shop.change()
  } else if (shop.underWay > 0 && scheduler.chance(0.05)) {
    void shop.deliver(gateway)
  } else if (left.disasters > 0 && scheduler.chance(0.02)) {
    left.disasters -= 1
    strike(world, gateway)
  }
}

/** Where an ambush may lie: right after one of these was carried out. */
const PLACES = [' tx$', ' settle ', ' clear ', ' renew ', ' reserve ', ' load-', ' recover ', ' re']

/** Whoever does a certain thing next, of a few times, is struck in the middle of it. */
function lieInWait(world: World, name: string): void {
  const { scheduler } = world
  scheduler.ambush = {
    label: new RegExp(`^${name}.*${PLACES[scheduler.below(PLACES.length)] ?? ''}`),
    spared: scheduler.below(3),
    strike: (actor) => {
      if (scheduler.chance(0.7)) scheduler.crash(actor)
      else scheduler.freeze(actor, freezeMs(world))
    },
  }
}

const freezeMs = ({ scheduler }: World): number => scheduler.between(LEASE_MS, 4 * LEASE_MS)

function strike(world: World, { actor }: SimGateway): void {
  const { scheduler } = world
  const luck = scheduler.random()
  if (luck < 0.05) scheduler.crash(actor)
  else if (luck < 0.2) lieInWait(world, '')
  else if (luck < 0.4) {
    scheduler.freeze(actor, freezeMs(world))
    lieInWait(world, actor.name) // what it meets when it wakes may be its end
  } else if (luck < 0.5) scheduler.freeze(actor, freezeMs(world))
  else if (luck < 0.62) world.emptyRedis()
  else if (luck < 0.9) world.rollBackRedis()
  else world.postgresAwayUntilMs = scheduler.nowMs + scheduler.between(100, LEASE_MS)
}

/** Fair weather until leases, sweeps, loads and webhooks have done their work. */
async function settleDown(world: World, shop: SimShop): Promise<void> {
  const { scheduler } = world
  const pass = async (forMs: number): Promise<void> => {
    const untilMs = scheduler.nowMs + forMs
    for (let step = 0; scheduler.nowMs < untilMs || !scheduler.idle; step++) {
      if (step > STEPS_MAX) throw new Error('the history does not come to rest')
      const [gateway] = world.alive()
      if (shop.underWay > 0 && gateway !== undefined) await delivered(world, shop, gateway)
      await scheduler.step()
    }
  }
  await pass(CALM_MS)
  for (let night = 0; night < NIGHTS_MAX && (await isWaiting(world)); night++) {
    scheduler.sleep(NIGHT_MS)
    await pass(LEASE_MS)
  }
}

async function delivered(world: World, shop: SimShop, gateway: SimGateway): Promise<void> {
  const progress = { done: false }
  void shop.deliver(gateway).finally(() => (progress.done = true))
  while (!progress.done) await world.scheduler.step()
}

/** Events that wait for their turn, or for who took them and died. */
async function isWaiting({ db }: World): Promise<boolean> {
  const [row] = await db.query("SELECT 1 FROM stripe_events WHERE state = 'pending' LIMIT 1")
  return row !== undefined
}
