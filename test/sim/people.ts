import { randomUUID } from 'node:crypto'
import { makeAccounts, type Accounts } from '../../src/access/accounts.ts'
import { makeKeys, type Keys } from '../../src/access/keys.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { micros, ZERO } from '../../src/kernel/money.ts'
import { makeBooks } from '../../src/ledger/ledger-books.ts'
import type { Db } from '../../src/store/db.ts'
import type { Actor } from './scheduler.ts'
import type { SimAccount, SimGateway, World } from './world.ts'

const ACTOR = 'sim'
const UNLIMITED = {
  name: 'sim',
  models: null,
  endpoints: null,
  budget: null,
  requestsPerMinute: null,
  tokensPerMinute: null,
  maxConcurrency: null,
  expiresAtMs: null,
}

/** Accounts with credits and keys, made in fair weather. */
export async function found(world: World, accounts: number): Promise<SimAccount[]> {
  const actor: Actor = { name: 'founder', alive: true }
  const clock = world.scheduler.clockOf(actor)
  const made: SimAccount[] = []
  for (let at = 0; at < accounts; at++) made.push(await foundOne(world, clock))
  return made
}

async function foundOne(world: World, clock: Clock): Promise<SimAccount> {
  const { scheduler, db, ids } = world
  const made = await makeAccounts({ db, clock, ids }).create({
    id: `acct_${randomUUID()}`,
    subjectRef: null,
    name: 'Sim',
    email: null,
    stripeCustomerId: null,
    creditLimitMicros: scheduler.chance(0.3) ? micros(scheduler.between(10, 60)) : ZERO,
    overageLimitMicros: ZERO,
    markup: null,
    actor: ACTOR,
  })
  if (!('account' in made)) throw new Error('the name is taken')
  const accountId = made.account.id
  const keyIds: string[] = []
  for (let at = 0; at < 2; at++) keyIds.push(await addKey(world, clock, accountId))
  await grant(world, db, clock, accountId, scheduler.between(60, 200))
  return { id: accountId, keyIds }
}

async function addKey({ db, ids, scheduler }: World, clock: Clock, accountId: string) {
  const isBudgeted = scheduler.chance(0.4)
  const period = scheduler.chance(0.5) ? 'day' : 'total'
  const key = await makeKeys({ db, clock, ids, mode: 'test' }).create({
    id: null,
    accountId,
    limits: {
      ...UNLIMITED,
      budget: isBudgeted ? { micros: micros(scheduler.between(40, 150)), period } : null,
      maxConcurrency: scheduler.chance(0.2) ? scheduler.between(1, 3) : null,
    },
    actor: ACTOR,
  })
  if (key === null) throw new Error('no key')
  return key.key.id
}

const grant = ({ ids }: World, db: Db, clock: Clock, accountId: string, credits: number) =>
  makeBooks({ db, ids }).grant(
    {
      accountId,
      micros: micros(credits),
      kind: 'paid',
      priority: 0,
      effectiveAtMs: null,
      expiresAtMs: null,
      reason: 'sim',
      referenceType: 'grant',
      referenceId: ids.uuid(),
    },
    clock.now(),
  )

/** What an operator may do to an account, each through one gateway's admin API. */
type Deed = (deeds: {
  readonly world: World
  readonly gateway: SimGateway
  readonly account: SimAccount
  readonly accounts: Accounts
  readonly keys: Keys
}) => Promise<unknown>

const DEEDS: Readonly<Record<string, Deed>> = {
  grant: ({ world, gateway: { db, clock }, account }) =>
    grant(world, db, clock, account.id, world.scheduler.between(10, 60)),
  adjust: ({ world: { ids, scheduler }, gateway: { db, clock }, account }) => {
    const amount = micros(scheduler.between(1, 40) * (scheduler.chance(0.5) ? 1 : -1))
    const input = { accountId: account.id, micros: amount, reason: 'sim', referenceId: ids.uuid() }
    return makeBooks({ db, ids }).adjust(input, clock.now())
  },
  freeze: ({ accounts, account }) => accounts.change(account.id, { status: 'frozen' }, ACTOR),
  thaw: ({ accounts, account }) => accounts.change(account.id, { status: 'active' }, ACTOR),
  lend: ({ world: { scheduler }, accounts, account }) => {
    const creditLimitMicros = micros(scheduler.between(0, 80))
    return accounts.change(account.id, { creditLimitMicros }, ACTOR)
  },
  limit: ({ world: { scheduler }, keys, account }) => {
    const [id = ''] = account.keyIds
    const budget = { micros: micros(scheduler.between(20, 150)), period: 'day' as const }
    return keys.change(id, { ...UNLIMITED, budget }, ACTOR)
  },
  revoke: ({ keys, account }) => keys.revoke(account.keyIds[1] ?? '', ACTOR),
}

/** One deed while everything goes on, told to the engine like the admin API does. */
export async function meddle(
  world: World,
  gateway: SimGateway,
  account: SimAccount,
): Promise<void> {
  const { db, clock, credits } = gateway
  const { ids, scheduler } = world
  const [name = '', deed] = Object.entries(DEEDS)[scheduler.below(Object.keys(DEEDS).length)] ?? []
  scheduler.log.push(`--- ${name} ${account.id.slice(-4)} by ${gateway.actor.name}`)
  try {
    await deed?.({
      world,
      gateway,
      account,
      accounts: makeAccounts({ db, clock, ids }),
      keys: makeKeys({ db, clock, ids, mode: 'test' }),
    })
    await credits.loads.account(account.id, 'changed')
    for (const keyId of account.keyIds) await credits.loads.key(account.id, keyId, 'changed')
  } catch {
    // The operator sees an error; the sweep tells the engine what was committed.
  }
}
