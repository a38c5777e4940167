import { createHash } from 'node:crypto'
import type Stripe from 'stripe'
import type { Account } from '../../access/rows.ts'
import { refuse, type Refusal } from '../../kernel/errors.ts'
import {
  RECHARGES_AT_ONCE_MAX,
  RECHARGE_LEASE_MS,
  RECHARGE_SWEEP_MS,
} from '../../kernel/limits/stripe.ts'
import { describeError } from '../../kernel/log.ts'
import { makeWorkPool, type WorkPool } from '../../kernel/work-pool.ts'
import { loadSql } from '../../store/sql.ts'
import type { EnsureCustomer } from '../customers.ts'
import { refusalOfStripe } from '../refusals.ts'
import { makeAttemptWork, type AttemptDeps } from './attempt.ts'
import type { Hints } from './hints.ts'
import { makePlan, type PlanDeps } from './plan.ts'
import { attemptRow } from './rows.ts'
import { makeSettings, type Settings, type SettingsDeps } from './settings.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['claim-attempts'])

export interface SetupAsked {
  readonly successUrl: string
  readonly cancelUrl: string
  readonly requestKey: string | null
}

export interface SetupPage {
  readonly url: string
  readonly expiresAtMs: number
}

/** Packs bought by themselves when an account runs low. Source: design §7. */
export interface Recharges extends Settings {
  /** Plans what is due and works on it, without waiting. To be called often. */
  tick(): Promise<void>
  /** Resolves when nothing is being worked on. */
  idle(): Promise<void>
  /** Plans and works until nothing is due. */
  drain(): Promise<void>
  /** A page of Stripe's on which a customer leaves a card for recharges. */
  setup(account: Account, asked: SetupAsked): Promise<SetupPage | Refusal>
}

export interface RechargesDeps extends AttemptDeps, PlanDeps, SettingsDeps {
  readonly stripe: Pick<Stripe, 'paymentIntents' | 'checkout'>
  readonly ensureCustomer: EnsureCustomer
  /** Accounts that posting charged. */
  readonly hints: Pick<Hints, 'take'>
}

function makePool(deps: RechargesDeps): WorkPool {
  const { db, clock, ids } = deps
  return makeWorkPool({
    max: RECHARGES_AT_ONCE_MAX,
    async claim(room) {
      const nowMs = clock.now()
      const until = new Date(nowMs + RECHARGE_LEASE_MS)
      const params = [new Date(nowMs), room, ids.uuid(), until]
      const rows = await db.query(sql['claim-attempts'], params)
      return rows.map((row) => attemptRow.parse(row))
    },
    work: makeAttemptWork(deps),
  })
}

const NOTHING_SOLD = refuse('not_found', 'There is no pack to recharge with.')

function makeSetup(deps: RechargesDeps): Recharges['setup'] {
  const { stripe, ensureCustomer, reader, catalogue, ids, log } = deps
  return async (account, { successUrl, cancelUrl, requestKey }) => {
    const [pack] = catalogue().packs
    if (pack === undefined) return NOTHING_SOLD
    try {
      const [customer, { currency }] = await Promise.all([
        ensureCustomer(account),
        reader.price(pack.stripe_price),
      ])
      const metadata = { farebox_setup: account.id }
      const urls = { success_url: successUrl, cancel_url: cancelUrl }
      const params = { mode: 'setup', customer, currency, metadata, ...urls } as const
      const key = JSON.stringify([account.id, requestKey ?? ids.uuid(), params])
      const { url, expires_at: expiresAt } = await stripe.checkout.sessions.create(
        { ...params, setup_intent_data: { metadata } },
        { idempotencyKey: `farebox-setup-${createHash('sha256').update(key).digest('hex')}` },
      )
      if (url === null) return refuse('upstream_error', 'Stripe made no page.')
      return { url, expiresAtMs: expiresAt * 1000 }
    } catch (error) {
      const refusal = refusalOfStripe(error)
      if (refusal === null) throw error
      log.warn({ account_id: account.id, error: describeError(error) }, 'no page for a card')
      return refusal
    }
  }
}

export function makeRecharges(deps: RechargesDeps): Recharges {
  const { clock, hints } = deps
  const plan = makePlan(deps)
  const pool = makePool(deps)
  let sweepAtMs = Number.NEGATIVE_INFINITY

  return {
    ...makeSettings(deps),
    setup: makeSetup(deps),
    idle: () => pool.idle(),
    async tick() {
      const noted = hints.take()
      const isSweep = clock.monotonicMs() - sweepAtMs >= RECHARGE_SWEEP_MS
      if (isSweep) {
        await plan(null)
        sweepAtMs = clock.monotonicMs()
      } else if (noted.length > 0) await plan(noted)
      await pool.tick()
    },
    async drain() {
      await plan(null)
      await pool.drain()
    },
  }
}
