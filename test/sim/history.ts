import type { ReceiptDraft } from '../../src/credits/holds.ts'
import { sleep } from '../../src/kernel/clock.ts'
import { micros } from '../../src/kernel/money.ts'
import { checkLedger } from '../../src/ledger/checks.ts'
import { dayOf } from '../../src/ledger/periods.ts'
import { makeReads } from '../../src/ledger/reads.ts'
import { makePostingLedger } from '../../src/ledger/posting-ledger.ts'
import type { Db } from '../../src/store/db.ts'
import { FAIR, LEASE_MS, STORMY, World, type SimGateway } from './world.ts'

/** What a request meant to do and how far it came, to be judged afterwards. */
interface Sent {
  readonly holdId: string
  readonly gateway: SimGateway
  readonly actual: number
  readonly held: number
  progress: number
  /** It ended by its own word: charged, or free of charge. */
  fate: 'open' | 'refused' | 'released' | 'settling' | 'completed'
}

export interface Verdict {
  readonly breaches: readonly string[]
  readonly log: readonly string[]
  readonly requests: readonly Sent[]
}

export interface Plan {
  readonly stormy: boolean
  /** Crashes, losses of Redis and outages of Postgres in one history, at most. */
  readonly disasters: number
  readonly requests: number
}

const CALM_MS = LEASE_MS * 8
const STEPS_MAX = 30_000

/** One seeded history from the first request to the verdict. */
export async function runHistory(seed: number, db: Db, plan: Plan): Promise<Verdict> {
  const world = new World(seed, db, plan.stormy ? STORMY : FAIR)
  const { scheduler } = world
  await world.found(
    scheduler.between(60, 200),
    scheduler.chance(0.3) ? scheduler.between(40, 150) : null,
  )
  const requests: Sent[] = []
  world.start('g0')
  world.start('g1')
  await trouble(world, plan, requests)
  scheduler.calm = true
  if (world.alive().length === 0) world.start('last')
  await settleDown(world)
  const breaches = await judge(world, db, requests)
  for (const { actor } of world.alive()) scheduler.crash(actor)
  return { breaches, log: scheduler.log, requests }
}

/** Requests, grants and disasters in seeded order, until all were dealt out. */
async function trouble(world: World, plan: Plan, requests: Sent[]): Promise<void> {
  const { scheduler } = world
  let left = plan.requests
  let grants = 1
  let disasters = scheduler.below(plan.disasters + 1)
  let revived = 0
  for (let step = 0; step < STEPS_MAX && (left > 0 || disasters > 0 || !scheduler.idle); step++) {
    const [gateway] = world.alive().sort(() => scheduler.random() - 0.5)
    if (gateway === undefined) {
      revived += 1
      world.start(`again${revived}`)
    } else if (left > 0 && scheduler.chance(0.08)) {
      left -= 1
      startRequest(world, gateway, requests)
    } else if (grants > 0 && scheduler.chance(0.02)) {
      grants -= 1
      void world.grant(gateway, scheduler.between(10, 60))
    } else if (disasters > 0 && scheduler.chance(0.02)) {
      disasters -= 1
      strike(world, gateway)
    }
    await scheduler.step()
    if (left === 0 && disasters === 0 && requests.every(isOver)) return
  }
}

const isOver = ({ fate, gateway }: Sent): boolean =>
  !gateway.actor.alive || fate === 'refused' || fate === 'released' || fate === 'completed'

function strike(world: World, gateway: SimGateway): void {
  const { scheduler } = world
  const luck = scheduler.random()
  if (luck < 0.2) scheduler.crash(gateway.actor)
  else if (luck < 0.4) scheduler.freeze(gateway.actor, scheduler.between(LEASE_MS, 4 * LEASE_MS))
  else if (luck < 0.55) world.emptyRedis()
  else if (luck < 0.8) world.rollBackRedis()
  else world.postgresAwayUntilMs = scheduler.nowMs + scheduler.between(100, LEASE_MS)
}

function startRequest(world: World, gateway: SimGateway, requests: Sent[]): void {
  const { scheduler } = world
  const sent: Sent = {
    holdId: world.ids.uuid(),
    gateway,
    held: scheduler.between(10, 60),
    actual: scheduler.between(3, 70),
    progress: 0,
    fate: 'open',
  }
  requests.push(sent)
  request(world, sent).catch((error: unknown) => {
    scheduler.log.push(`!!! request ${sent.holdId} threw ${String(error)}`)
    throw error
  })
}

const draftOf = (world: World, sent: Sent): ReceiptDraft => ({
  holdId: sent.holdId,
  accountId: world.accountId,
  keyId: world.keyId,
  startedAtMs: world.scheduler.nowMs,
  protocol: 'openai-chat',
  endpoint: 'chat/completions',
  upstream: 'sim',
  model: 'm',
  stream: false,
  estimated: false,
  usage: { output_tokens: 1 },
  providerCostPicoUsd: '1',
  priceVersion: 'sim',
  httpStatus: 200,
  firstByteMs: null,
  durationMs: null,
})

/** What the gateway does with one request, on the simulated clock. */
async function request(world: World, sent: Sent): Promise<void> {
  const { scheduler } = world
  const { credits, actor } = sent.gateway
  const clock = scheduler.clockOf(actor)
  const draft = draftOf(world, sent)
  const want = micros(sent.held)
  const hold = await credits.holds.open({
    draft,
    wantMicros: want,
    leastMicros: want,
    tokens: 1,
    keySeq: 0,
  })
  if (!hold.ok) {
    sent.fate = 'refused'
    return
  }
  if (!(await hold.ensureFresh()) || scheduler.chance(0.2)) {
    await hold.release()
    sent.fate = 'released'
    return
  }
  hold.watch(() => ({ micros: micros(Math.max(1, sent.progress)), draft }))
  for (let part = scheduler.below(4); part > 0; part--) {
    await sleep(clock, scheduler.between(1, LEASE_MS))
    sent.progress = Math.min(sent.actual, sent.progress + scheduler.between(1, 20))
  }
  sent.fate = 'settling'
  const settled = await hold.settle({ draft, micros: micros(sent.actual), tokens: 1, answer: null })
  await settled.posted
  sent.fate = 'completed'
}

/** Fair weather until leases, sweeps and loads have done their work. */
async function settleDown(world: World): Promise<void> {
  const { scheduler } = world
  const untilMs = scheduler.nowMs + CALM_MS
  for (let step = 0; scheduler.nowMs < untilMs || !scheduler.idle; step++) {
    if (step > STEPS_MAX) throw new Error('the history does not come to rest')
    await scheduler.step()
  }
}

/** The invariants of design §6, and the table of §3, over what is left. */
async function judge(world: World, db: Db, requests: readonly Sent[]): Promise<string[]> {
  const breaches: string[] = []
  const page = await checkLedger(db, before(world.accountId), 1)
  for (const breach of page.breaches) breaches.push(`${breach.invariant} ${breach.detail}`)
  const reads = makeReads(db)
  for (const sent of requests) {
    const receipt = await reads.receipt(sent.holdId, null)
    breaches.push(...judgeRequest(sent, receipt?.micros ?? null, receipt?.rev ?? null))
  }
  const [gateway] = world.alive()
  const view = gateway === undefined ? null : await quiet(world, gateway)
  if (view !== null) {
    const ledger = makePostingLedger({ db, ids: world.ids })
    const snapshot = await ledger.snapshotAccount(world.accountId)
    if (view.holds > 0) breaches.push(`I7 ${view.holds} holds outlived their leases`)
    if (snapshot !== null && view.available !== snapshot.postedMicros) {
      breaches.push(`I2 available ${view.available}, posted ${snapshot.postedMicros}`)
    }
    const today = dayOf(world.scheduler.nowMs)
    const key = await ledger.snapshotKey(world.accountId, world.keyId, today)
    if (view.spend !== null && key !== null && view.spendFrom === key.periodStartDay) {
      if (view.spend !== key.spendMicros) {
        breaches.push(`I2 key spend ${view.spend}, posted ${key.spendMicros}`)
      }
    }
  }
  return breaches
}

/** `checkLedger` pages after a cursor: the greatest text below the account. */
const before = (accountId: string): string =>
  accountId.slice(0, -1) + String.fromCharCode(accountId.charCodeAt(accountId.length - 1) - 1) + '~'

interface Quiet {
  readonly available: number
  readonly holds: number
  readonly spend: number | null
  readonly spendFrom: number | null
}

/** What the engine says now, asked through the scheduler like everything else. */
async function quiet(world: World, gateway: SimGateway): Promise<Quiet | null> {
  const asked = Promise.all([
    gateway.engine.viewAccount(world.accountId),
    gateway.engine.viewKey(world.accountId, world.keyId),
  ])
  const progress = { answered: false }
  void asked.finally(() => (progress.answered = true)).catch(() => undefined)
  while (!progress.answered) await world.scheduler.step()
  const [account, key] = await asked
  if (account === null) return null
  return {
    available: account.availableMicros,
    holds: account.holds.length,
    spend: key?.budgetMicros === null || key === null ? null : key.spendMicros,
    spendFrom: key?.periodStartDay ?? null,
  }
}

function judgeRequest(sent: Sent, charged: number | null, rev: number | null): string[] {
  const name = sent.holdId.slice(0, 23)
  switch (sent.fate) {
    case 'completed':
      return charged === sent.actual && rev === 2
        ? []
        : [`I9 ${name} completed at ${sent.actual}, charged ${charged} (rev ${rev})`]
    case 'refused':
    case 'released':
      return charged === null ? [] : [`${name} ${sent.fate} but charged ${charged}`]
    case 'open':
    case 'settling': {
      if (sent.gateway.actor.alive) return [`${name} never ended`]
      const most = Math.max(1, sent.actual)
      return charged === null || charged <= most ? [] : [`${name} crashed, charged ${charged}`]
    }
  }
}
