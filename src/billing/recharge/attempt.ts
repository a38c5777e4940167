import type Stripe from 'stripe'
import { isRefusal } from '../../kernel/errors.ts'
import type { Accounts } from '../../access/accounts.ts'
import type { Clock } from '../../kernel/clock.ts'
import {
  RECHARGE_ACTION_MS_MAX,
  RECHARGE_OPEN_LOOK_MS,
  RECHARGE_QUIET_MS,
  RECHARGE_RETRY_MS_MAX,
  RECHARGE_RETRY_MS_MIN,
  STRIPE_KEY_KEPT_MS,
} from '../../kernel/limits/stripe.ts'
import { describeError, type Log } from '../../kernel/log.ts'
import { backoffMs } from '../../kernel/work-pool.ts'
import type { Db } from '../../store/db.ts'
import { loadSql } from '../../store/sql.ts'
import type { Checkouts } from '../checkout.ts'
import type { Effects } from '../effects/effects.ts'
import type { Findings } from '../findings.ts'
import type { BillingHooks } from '../hooks.ts'
import type { Tell } from '../tell.ts'
import { callStripe } from './charge.ts'
import type { Failure } from './consequence.ts'
import { endAttempt, lockWanted, rechargeEnd } from './end.ts'
import { prepareAttempt, refusedFinding } from './prepare.ts'
import type { RechargeReader } from './read.ts'
import type { Attempt } from './rows.ts'
import { noteIntent } from './store.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'repeat-call',
  'rest-attempt',
  'tell-link',
  'drop-link',
])

export interface AttemptDeps {
  readonly db: Db
  readonly stripe: Pick<Stripe, 'paymentIntents'>
  readonly reader: RechargeReader
  readonly effects: Effects
  readonly checkouts: Pick<Checkouts, 'open'>
  readonly accounts: Pick<Accounts, 'read'>
  readonly tell: Tell
  readonly findings: Findings
  readonly hooks: Pick<BillingHooks, 'recharged'>
  readonly clock: Clock
  /** Even in [0, 1). */
  readonly random: () => number
  readonly log: Log
}

const look = ({ effects }: AttemptDeps, payment: string): Promise<void> =>
  effects.look({ kind: 'payment', id: payment }, () => Promise.resolve())

async function end(
  { db, tell, clock, hooks }: AttemptDeps,
  attempt: Attempt,
  state: 'failed' | 'canceled',
  failure: Failure,
): Promise<boolean> {
  const ending = { state, failure } as const
  const isNew = await db.tx((tx) => endAttempt(tx, tell, attempt, ending, clock.now()))
  if (isNew) hooks.recharged(rechargeEnd(ending, attempt))
  return isNew
}

async function rest({ db, clock }: AttemptDeps, attempt: Attempt, waitMs: number): Promise<void> {
  const until = new Date(clock.now() + waitMs)
  await db.query(sql['rest-attempt'], [attempt.id, attempt.lease, until])
}

async function made(deps: AttemptDeps, attempt: Attempt, payment: string): Promise<void> {
  await noteIntent(deps.db, attempt.id, payment, deps.clock.now())
  await look(deps, payment)
}

async function charge(deps: AttemptDeps, attempt: Attempt): Promise<void> {
  const called = await callStripe(deps.stripe, attempt)
  if (called.kind === 'made') return made(deps, attempt, called.payment)
  if (called.kind === 'ended') {
    const { failure } = called
    const isNew = await end(deps, attempt, 'failed', failure)
    if (isNew && failure.kind === 'refused') {
      await deps.findings.note(refusedFinding(attempt, failure.detail))
    }
    return
  }
  const payment = await deps.reader.find(attempt)
  if (payment !== null) return made(deps, attempt, payment)
  await end(deps, attempt, 'failed', { kind: 'trouble', detail: 'Stripe failed' })
}

/** Stripe was asked before and nobody noted what became of it. */
async function resume(deps: AttemptDeps, attempt: Attempt): Promise<void> {
  const { db, reader, clock } = deps
  const payment = attempt.paymentIntent ?? (await reader.find(attempt))
  if (payment !== null) return made(deps, attempt, payment)
  const nowMs = clock.now()
  if (nowMs - (attempt.calledAtMs ?? 0) > STRIPE_KEY_KEPT_MS) {
    await end(deps, attempt, 'failed', { kind: 'trouble', detail: 'it never reached Stripe' })
    return
  }
  const { isWanted } = await db.tx((tx) => lockWanted(tx, attempt.accountId))
  if (!isWanted) {
    const isQuiet = nowMs - (attempt.lastCallAtMs ?? 0) > RECHARGE_QUIET_MS
    if (!isQuiet) return rest(deps, attempt, RECHARGE_QUIET_MS)
    await end(deps, attempt, 'canceled', { kind: 'not_needed', detail: 'before Stripe took it' })
    return
  }
  const params = [attempt.id, attempt.lease, new Date(nowMs)]
  const isOurs = (await db.query(sql['repeat-call'], params)).length > 0
  if (isOurs) await charge(deps, attempt)
}

/** Its webhook may be lost; and nobody comes to a payment that has waited for a day. */
async function follow(deps: AttemptDeps, attempt: Attempt, payment: string): Promise<void> {
  if (deps.clock.now() - (attempt.calledAtMs ?? 0) > RECHARGE_ACTION_MS_MAX) {
    const { status } = await deps.reader.charge(payment)
    if (status === 'requires_action' || status === 'requires_confirmation') {
      await deps.stripe.paymentIntents.cancel(payment)
    }
  }
  await look(deps, payment)
  await rest(deps, attempt, RECHARGE_OPEN_LOOK_MS)
}

/** The bank wants to see the customer: a page to pay on, and word of it. */
async function link(deps: AttemptDeps, attempt: Attempt): Promise<void> {
  const account = await deps.accounts.read(attempt.accountId)
  if (account === null) throw new Error('unreachable: accounts are never deleted')
  const opened = await deps.checkouts.open(account, {
    item: { kind: 'pack', id: attempt.packId },
    ...{ successUrl: attempt.returnUrl, cancelUrl: attempt.returnUrl },
    ...{ requestKey: `recharge:${attempt.id}`, keepsCard: true },
  })
  if (isRefusal(opened)) {
    const nowMs = deps.clock.now()
    const isLate = nowMs - (attempt.calledAtMs ?? 0) > RECHARGE_ACTION_MS_MAX
    // Its customer may be deleted, or its pack sold no more: no later try would make it.
    if (isLate) await deps.db.query(sql['drop-link'], [attempt.id, attempt.lease, new Date(nowMs)])
    throw new Error(`no page to pay on: ${opened.message}`)
  }
  const { url } = opened
  if (url === null) return rest(deps, attempt, RECHARGE_RETRY_MS_MAX)
  await deps.db.tx(async (tx) => {
    const nowMs = deps.clock.now()
    const rows = await tx.query(sql['tell-link'], [attempt.id, attempt.lease, new Date(nowMs)])
    if (rows.length === 0) return
    const occasion = `recharge_authentication:${attempt.id}`
    const { accountId } = attempt
    const told = { kind: 'authentication_required', occasion, accountId, data: { url } } as const
    await deps.tell(told, nowMs, tx)
  })
}

async function step(deps: AttemptDeps, attempt: Attempt): Promise<void> {
  if (attempt.link === 'wanted') return link(deps, attempt)
  if (attempt.state === 'called') return resume(deps, attempt)
  if (attempt.state === 'open' && attempt.paymentIntent !== null) {
    return follow(deps, attempt, attempt.paymentIntent)
  }
  const ready = await prepareAttempt(deps, attempt)
  if (ready !== null) await charge(deps, ready)
}

/** Brings one attempt further, from whatever state it was left in. */
export function makeAttemptWork(deps: AttemptDeps): (attempt: Attempt) => Promise<void> {
  const { log } = deps
  /** Never rejects: what cannot even be noted is tried again when its lease ends. */
  return async (attempt) => {
    try {
      await step(deps, attempt)
    } catch (error) {
      const fields = { attempt: attempt.id, tries: attempt.tries, error: describeError(error) }
      log.warn(fields, 'recharge not through, tried again')
      const bounds = { minMs: RECHARGE_RETRY_MS_MIN, maxMs: RECHARGE_RETRY_MS_MAX }
      const waitMs = backoffMs(attempt.tries, deps.random(), bounds)
      await rest(deps, attempt, waitMs).catch((fault: unknown) => {
        log.error({ attempt: attempt.id, error: describeError(fault) }, 'left to its lease')
      })
    }
  }
}
