import type { Clock } from '../../kernel/clock.ts'
import type { Ids } from '../../kernel/ids.ts'
import { RECHARGE_PLANNED_MAX } from '../../kernel/limits/stripe.ts'
import type { Db } from '../../store/db.ts'
import { flagOf, textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import type { Catalogue } from '../catalogue.ts'
import type { Tell } from '../tell.ts'
import { monthOf, nextMonthMs } from './consequence.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'lock-low',
  'plan-attempts',
  'postpone-recharges',
])

export interface PlanDeps {
  readonly db: Db
  readonly catalogue: () => Catalogue
  readonly tell: Tell
  readonly clock: Clock
  readonly ids: Ids
}

/**
 * Writes an attempt for every account that is below its threshold and may have one; `accountIds`
 * null = of all. The posted balance is compared, not the available one: holds are worst cases that
 * mostly come back, and would charge cards for nothing. Answers how many were written.
 */
export type PlanRecharges = (accountIds: readonly string[] | null) => Promise<number>

export function makePlan(deps: PlanDeps): PlanRecharges {
  const { db, tell, clock, ids } = deps
  return async (accountIds) => {
    const nowMs = clock.now()
    const now = new Date(nowMs)
    const packs = deps.catalogue().packs.map((pack) => ({
      pack_id: pack.id,
      price: pack.stripe_price,
      micros: pack.credits,
      expires_days: pack.expires_days ?? null,
    }))
    return db.tx(async (tx) => {
      const forSale = packs.map((pack) => pack.pack_id)
      const which = [now, accountIds, RECHARGE_PLANNED_MAX, forSale]
      const locked = await tx.query(sql['lock-low'], which)
      if (locked.length === 0) return 0
      const low = locked.map((row) => textOf(row, 'account_id'))
      const names = low.map(() => `fbra_${ids.uuid().replaceAll('-', '')}`)
      const params = [now, low, names, monthOf(nowMs), JSON.stringify(packs)]
      const planned = await tx.query(sql['plan-attempts'], params)
      const capped = planned.filter((row) => flagOf(row, 'is_capped'))
      const ofCapped = capped.map((row) => textOf(row, 'account_id'))
      if (ofCapped.length > 0) {
        const until = new Date(nextMonthMs(nowMs))
        await tx.query(sql['postpone-recharges'], [ofCapped, until, now])
      }
      for (const accountId of ofCapped) {
        const occasion = `recharge_capped:${accountId}:${monthOf(nowMs)}`
        const data = { reason: 'the monthly limit is reached' }
        await tell({ kind: 'recharge_failed', occasion, accountId, data }, nowMs, tx)
      }
      return planned.length - capped.length
    })
  }
}
