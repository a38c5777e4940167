import { checkLedger } from '../../src/ledger/checks.ts'
import { dayOf } from '../../src/ledger/periods.ts'
import { makePostingLedger } from '../../src/ledger/posting-ledger.ts'
import { makeReads } from '../../src/ledger/reads.ts'
import type { Sent } from './requests.ts'
import type { SimAccount, SimGateway, Witness, World } from './world.ts'

/** I8 and its like: nothing is held that was not there, asked at each reservation. */
export function watchReservations(breaches: string[]): Witness {
  return (name, input, _reply, before, after) => {
    if (name !== 'reserve' || !('holdId' in input)) return
    const { account, key } = after
    if (account === null || before.account === null || key === null || before.key === null) return
    const took = before.account.availableMicros - account.availableMicros
    const hold = `${input.holdId.slice(0, 23)} ${input.accountId.slice(-4)}`
    if (took <= 0) return
    if (account.availableMicros + account.creditLimitMicros < 0) {
      breaches.push(`I8 ${hold} took ${took}, which leaves ${account.availableMicros}`)
    }
    const spent = key.spendMicros - before.key.spendMicros
    if (key.budgetMicros !== null && spent > 0 && key.spendMicros > key.budgetMicros) {
      breaches.push(`I8 ${hold} makes it ${key.spendMicros} of a budget of ${key.budgetMicros}`)
    }
    if (key.maxConcurrency !== null && key.openHolds > key.maxConcurrency) {
      breaches.push(`${hold} is the ${key.openHolds}th of ${key.maxConcurrency}`)
    }
    if (account.status !== 'active' || key.status !== 'active') breaches.push(`${hold} was barred`)
  }
}

/** The invariants of design §6, and the table of §3, over what is left when all is quiet. */
export async function judge(
  world: World,
  accounts: readonly SimAccount[],
  requests: readonly Sent[],
): Promise<string[]> {
  const breaches: string[] = []
  const reads = makeReads(world.db)
  for (const sent of requests) {
    const receipt = await reads.receipt(sent.holdId, null)
    breaches.push(...judgeRequest(world, sent, receipt?.micros ?? null, receipt?.rev ?? null))
  }
  const [gateway] = world.alive()
  for (const account of accounts) {
    const page = await checkLedger(world.db, before(account.id), 1)
    for (const breach of page.breaches) breaches.push(`${breach.invariant} ${breach.detail}`)
    if (gateway !== undefined) breaches.push(...(await judgeCopies(world, gateway, account)))
  }
  return breaches
}

/** `checkLedger` pages after a cursor: the greatest text below the account. */
const before = (accountId: string): string =>
  accountId.slice(0, -1) + String.fromCharCode(accountId.charCodeAt(accountId.length - 1) - 1) + '~'

/** Asks through the scheduler like everybody, until it is answered. */
async function ask<T>(world: World, question: () => Promise<T>): Promise<T> {
  const asked = question()
  const progress = { answered: false }
  void asked.finally(() => (progress.answered = true)).catch(() => undefined)
  while (!progress.answered) await world.scheduler.step()
  return asked
}

/** I2, I7 and I10: the credit state's copies beside Postgres. */
async function judgeCopies(
  world: World,
  { engine, credits }: SimGateway,
  { id, keyIds }: SimAccount,
): Promise<string[]> {
  const breaches: string[] = []
  const expect = (what: string, copy: unknown, row: unknown): void => {
    if (copy !== row) breaches.push(`${what} ${String(copy)}, in Postgres ${String(row)}`)
  }
  const ledger = makePostingLedger({ db: world.db, ids: world.ids })
  // What is not there is brought: its holds must have gone all the same.
  if ((await ask(world, () => engine.viewAccount(id))) === null) {
    await ask(world, () => credits.loads.account(id, 'missing'))
  }
  const copy = await ask(world, () => engine.viewAccount(id))
  const account = await ledger.snapshotAccount(id)
  if (copy === null || account === null) return [`account ${id} cannot be seen`]
  if (copy.holds.length > 0) breaches.push(`I7 ${copy.holds.length} holds outlived their leases`)
  expect(`I2 available ${id.slice(-4)}`, copy.availableMicros, account.postedMicros)
  expect('I10 credit limit', copy.creditLimitMicros, account.creditLimitMicros)
  expect('I10 status', copy.status, account.status)
  const today = dayOf(world.scheduler.nowMs)
  for (const keyId of keyIds) {
    const key = await ask(world, () => engine.viewKey(id, keyId))
    const row = await ledger.snapshotKey(id, keyId, today)
    if (key === null || row === null) continue
    expect('I10 key', key.status, row.status)
    expect('I10 budget', key.budgetMicros, row.budgetMicros)
    expect('I10 concurrency', key.maxConcurrency, row.maxConcurrency)
    if (key.maxConcurrency !== null) expect('I7 open holds of a key', key.openHolds, 0)
    if (key.budgetMicros === null || key.periodStartDay !== row.periodStartDay) continue
    expect('I2 spend of a key', key.spendMicros, row.spendMicros)
  }
  return breaches
}

/** One request by the table of design §3. */
function judgeRequest(
  world: World,
  sent: Sent,
  charged: number | null,
  rev: number | null,
): string[] {
  const name = `${sent.holdId.slice(0, 23)} ${sent.holdId.slice(-4)}`
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
      if (charged !== null && charged > most) return [`${name} crashed, charged ${charged}`]
      if (world.redisLost) return []
      const least = sent.taken ? sent.actual : sent.told
      const isLess = (charged ?? 0) < least
      return isLess ? [`${name} crashed at ${least}, charged ${charged}`] : []
    }
  }
}
