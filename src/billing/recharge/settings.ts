import { writeAudit } from '../../access/audit.ts'
import type { Account } from '../../access/rows.ts'
import type { Clock } from '../../kernel/clock.ts'
import { isRefusal, refuse, type Refusal } from '../../kernel/errors.ts'
import type { Ids } from '../../kernel/ids.ts'
import {
  RECHARGE_ATTEMPTS_SHOWN,
  RECHARGE_DECLINES_MAX,
  RECHARGE_DECLINE_MS_MIN,
} from '../../kernel/limits/stripe.ts'
import type { Micros } from '../../kernel/money.ts'
import type { Db } from '../../store/db.ts'
import { numberOf, textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import type { Catalogue } from '../catalogue.ts'
import { monthOf } from './consequence.ts'
import { turnOff } from './end.ts'
import type { CardFacts, RechargeReader } from './read.ts'
import { rechargeRow, type Attempt, type Recharge } from './rows.ts'
import { listAttempts, readRecharge } from './store.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'lock-recharge',
  'save-recharge',
  'month-of-account',
  'count-recharges',
])

/** What a customer allows. At least one of the caps. */
export interface RechargeAsked {
  readonly pack: string
  /** Recharge below it. */
  readonly thresholdMicros: Micros
  /** Recharges a UTC month. */
  readonly monthlyCount: number | null
  /** The smallest unit of the pack's currency, a UTC month. */
  readonly monthlyAmount: number | null
  /** Where the customer comes back to from a page of Stripe's. */
  readonly returnUrl: string
}

export interface RechargeView {
  /** null = never set up. */
  readonly recharge: Recharge | null
  readonly attempts: readonly Attempt[]
  readonly month: { readonly attempts: number; readonly amount: number }
}

/** Who asks. An operator may overrule what a bank or Stripe said of a card. */
export interface Asker {
  readonly actor: string
  readonly isOperator: boolean
}

/** Accounts by how their recharge stands; a state that is absent has none. */
export type RechargeCounts = ReadonlyMap<string, number>

export interface SettingsDeps {
  readonly db: Db
  readonly reader: RechargeReader
  readonly catalogue: () => Catalogue
  readonly clock: Clock
  readonly ids: Ids
}

const NO_CARD = refuse(
  'conflict',
  'There is no card to charge: open POST /farebox/v1/recharge/setup first.',
)
const WARNED = refuse('conflict', 'Recharges of this account were stopped. Ask the operator.')
const DECLINED = refuse('conflict', 'This card was refused for recharges. Set up another one.')

/** A card that was declined is not tried at once because somebody asked again. */
interface Start {
  readonly declines: number
  readonly cardMark: string | null
  readonly dueMs: number
}

function startOf(
  before: Recharge | null,
  card: CardFacts,
  { isOperator }: Asker,
  nowMs: number,
): Start | Refusal {
  const fresh = { declines: 0, cardMark: null, dueMs: nowMs }
  if (before === null || isOperator) return fresh
  if (before.reason === 'early_fraud_warning') return WARNED
  if (before.cardMark !== card.mark) return fresh
  if (before.reason === 'declined' || before.reason === 'do_not_try_again') return DECLINED
  if (before.state === 'on') {
    return { declines: before.declines, cardMark: card.mark, dueMs: before.dueAtMs }
  }
  const dueMs = nowMs + RECHARGE_DECLINE_MS_MIN
  return { declines: RECHARGE_DECLINES_MAX - 1, cardMark: card.mark, dueMs }
}

/** The card that would be charged now; null = there is none. */
async function cardOf({ db, reader }: SettingsDeps, account: Account): Promise<CardFacts | null> {
  const { stripeCustomerId: customer } = account
  if (customer === null) return null
  const chosen = (await readRecharge(db, account.id))?.paymentMethod ?? null
  const method = chosen ?? (await reader.customer(customer))?.defaultMethod ?? null
  const card = method === null ? null : await reader.card(method)
  return card?.customer === customer ? card : null
}

/** What is allowed, and by whom it may be changed. Source: design §8. */
export function makeSettings(deps: SettingsDeps) {
  const { db, reader, clock, ids } = deps

  return {
    async counts(): Promise<RechargeCounts> {
      const rows = await db.query(sql['count-recharges'])
      return new Map(rows.map((row) => [textOf(row, 'state'), numberOf(row, 'accounts')]))
    },
    async read(accountId: string): Promise<RechargeView> {
      const [recharge, attempts, [row]] = await Promise.all([
        readRecharge(db, accountId),
        listAttempts(db, accountId, RECHARGE_ATTEMPTS_SHOWN),
        db.query(sql['month-of-account'], [accountId, monthOf(clock.now())]),
      ])
      if (row === undefined) throw new Error('unreachable: a count has a row')
      const month = { attempts: numberOf(row, 'attempts'), amount: numberOf(row, 'amount') }
      return { recharge, attempts, month }
    },

    /** null = it is saved. */
    async save(account: Account, asked: RechargeAsked, asker: Asker): Promise<Refusal | null> {
      const pack = deps.catalogue().pack(asked.pack)
      if (pack === null) return refuse('not_found', `There is no pack named ${asked.pack} here.`)
      const [{ amount, currency }, card] = await Promise.all([
        reader.price(pack.stripe_price),
        cardOf(deps, account),
      ])
      if (card === null) return NO_CARD
      if (amount === null || amount <= 0) return refuse('conflict', `${pack.id} is not for sale.`)
      if (asked.monthlyAmount !== null && asked.monthlyAmount < amount) {
        return refuse('invalid_request', `monthly_amount: one ${pack.id} costs ${amount}.`)
      }
      return db.tx(async (tx) => {
        const nowMs = clock.now()
        const [row] = await tx.query(sql['lock-recharge'], [account.id])
        const before = row === undefined ? null : rechargeRow.parse(row)
        const start = startOf(before, card, asker, nowMs)
        if (isRefusal(start)) return start
        const saved = await tx.query(sql['save-recharge'], [
          ...[account.id, 'on', null, pack.id, asked.thresholdMicros, asked.monthlyCount],
          ...[asked.monthlyAmount, currency, asked.returnUrl, start.declines, start.cardMark],
          ...[new Date(start.dueMs), new Date(nowMs), asker.isOperator],
        ])
        if (saved.length === 0) return WARNED
        const entry = { actor: asker.actor, action: 'recharge.on', subject: account.id }
        await writeAudit(tx, ids, { ...entry, detail: { ...asked } }, nowMs)
        return null
      })
    },

    async off(accountId: string, asker: Asker): Promise<void> {
      await db.tx(async (tx) => {
        const nowMs = clock.now()
        await turnOff(tx, accountId, asker.isOperator ? 'operator' : 'customer', nowMs)
        const entry = { actor: asker.actor, action: 'recharge.off', subject: accountId }
        await writeAudit(tx, ids, { ...entry, detail: {} }, nowMs)
      })
    },
  }
}

export type Settings = ReturnType<typeof makeSettings>
