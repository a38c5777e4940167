import { micros } from '../../kernel/money.ts'
import type { Reserve, ReserveReply } from '../commands.ts'
import { dayOf, periodStart } from '../../ledger/periods.ts'
import { anchor, levelAt, UNIT, waitMs, within } from './bucket.ts'
import { sumKey } from './key.ts'
import {
  loaded,
  loadedKey,
  putHold,
  type Account,
  type Bucket,
  type KeyFacts,
  type Limits,
  type State,
} from './state.ts'

/** Embedded counterpart of reserve.lua, step for step. Source: design §2.4, §3. */
export function reserve(state: State, command: Reserve, inc: number, nowMs: number): ReserveReply {
  const place = loaded(state, command.accountId, inc)
  if (place === null) return { kind: 'stale', what: 'account' }
  const { account, facts } = place
  const day = dayOf(nowMs)
  const key = keyOf(account, command, inc, day)
  for (const limits of [facts, key]) if (limits !== null) anchor(limits, nowMs)
  const before = account.holds.get(command.holdId)
  if (before !== undefined) {
    return granted(before.micros, before.day, before.reservedAtMs, nowMs, facts.available)
  }
  if (nowMs > command.notAfterMs) return { kind: 'too_late', nowMs }
  if (key === null) return { kind: 'stale', what: 'key' }
  if (facts.status !== 'active') return { kind: 'account_blocked', status: facts.status }
  if (key.status !== 'active') return { kind: 'key_invalid' }
  if (key.expiresAtMs !== null && nowMs >= key.expiresAtMs) return { kind: 'key_invalid' }
  const budget = budgetNow(account, command.keyId, key, day)
  const spendable = Math.min(facts.available + facts.limit, Number.MAX_SAFE_INTEGER)
  const share = Math.floor(Math.min(spendable, budget.left) / command.fitShares)
  const amount = Math.min(command.wantMicros, Math.max(command.leastMicros, share))
  if (amount > spendable) {
    const availableMicros = micros(facts.available)
    if (amount > spendable + facts.held) return { kind: 'insufficient', availableMicros }
    return { kind: 'held', availableMicros, heldMicros: micros(facts.held) }
  }
  if (amount > budget.left) {
    const heldMicros = micros(budget.held)
    if (amount > budget.left + budget.held) {
      return { kind: 'budget', leftMicros: micros(budget.left), heldMicros }
    }
    return { kind: 'held', availableMicros: micros(facts.available), heldMicros }
  }
  const { tokens } = command
  const refused =
    rateRefusal(key, tokens, nowMs, 'key') ?? rateRefusal(facts, tokens, nowMs, 'account')
  if (refused !== null) return refused
  for (const limits of [key, facts]) takeRates(limits, tokens, nowMs)

  takeBudget(key, budget, amount)
  facts.available -= amount
  facts.held += amount
  putHold(account, command.holdId, {
    state: 'held',
    micros: amount,
    progress: 0,
    rev: 0,
    day,
    tokens: Math.min(command.tokens, Math.max(key.tokens?.limit ?? 0, facts.tokens?.limit ?? 0)),
    reservedAtMs: nowMs,
    deadlineMs: nowMs + command.leaseMs,
    keyId: command.keyId,
    owner: command.owner,
    receipt: '', // what has no progress is released
  })
  return granted(amount, day, nowMs, nowMs, facts.available)
}

/** null = it is not loaded, from before its last change, or not for the budget period of `day`. */
function keyOf(
  account: Account,
  { keyId, keySeq }: Reserve,
  inc: number,
  day: number,
): KeyFacts | null {
  const key = loadedKey(account, keyId, inc)
  return key === null || key.changeSeq < keySeq || isUnknownPeriod(key, day) ? null : key
}

/**
 * A budget period that nothing was counted in yet begins here. Where the clock goes back to an
 * earlier one, or comes again to a later one, only Postgres knows what was posted in it.
 */
function isUnknownPeriod({ budget, lastDay }: KeyFacts, day: number): boolean {
  if (budget === null) return false
  const startDay = periodStart(budget.period, day)
  return startDay < budget.startDay || (startDay > budget.startDay && startDay <= lastDay)
}

function granted(
  amount: number,
  day: number,
  reservedAtMs: number,
  nowMs: number,
  available: number,
): ReserveReply {
  const availableMicros = micros(available)
  return {
    kind: 'ok',
    micros: micros(amount),
    day,
    reservedAtMs,
    nowMs,
    availableMicros,
  }
}

interface BudgetNow {
  readonly startDay: number
  readonly spend: number
  readonly held: number
  readonly left: number
}

/** The budget as of `day`: in a new period the spend restarts from the holds counting in it. */
function budgetNow(account: Account, keyId: string, key: KeyFacts, day: number): BudgetNow {
  const { budget } = key
  if (budget === null) return { startDay: 0, spend: 0, held: 0, left: Infinity }
  const startDay = periodStart(budget.period, day)
  if (startDay === budget.startDay) return { ...budget, left: budget.limit - budget.spend }
  const { spend, held } = sumKey(account, keyId, startDay)
  return { startDay, spend, held, left: budget.limit - spend }
}

function takeBudget(key: KeyFacts, { startDay, spend, held }: BudgetNow, amount: number): void {
  if (key.budget === null) return
  // Nothing that was posted is in the spend of a new period: clear gives none of it back.
  if (startDay !== key.budget.startDay) key.loadVersion = 0
  Object.assign(key.budget, { startDay, spend: spend + amount, held: held + amount })
}

type RateRefusal = Extract<ReserveReply, { kind: 'rate' }>

/** Why the rates of a key or of an account refuse; null = they do not. */
function rateRefusal(
  { requests, tokens, concurrency }: Limits,
  wantTokens: number,
  nowMs: number,
  of: RateRefusal['of'],
): RateRefusal | null {
  const requestLevel = requests === null ? 0 : levelAt(requests, nowMs)
  if (requests !== null && requestLevel < UNIT) {
    const retryAfterMs = waitMs(requests, requestLevel, UNIT)
    return { kind: 'rate', of, limit: 'requests', retryAfterMs }
  }
  const units = tokens === null ? 0 : within(tokens, wantTokens) * UNIT
  const tokenLevel = tokens === null ? 0 : levelAt(tokens, nowMs)
  if (tokens !== null && tokenLevel < units) {
    return {
      kind: 'rate',
      of,
      limit: 'tokens',
      retryAfterMs: waitMs(tokens, tokenLevel, units),
    }
  }
  if (concurrency !== null && concurrency.open >= concurrency.limit) {
    return { kind: 'rate', of, limit: 'concurrency', retryAfterMs: 1_000 }
  }
  return null
}

function takeRates({ requests, tokens, concurrency }: Limits, want: number, nowMs: number): void {
  const from = (bucket: Bucket, units: number) => ({
    level: levelAt(bucket, nowMs) - units,
    atMs: nowMs,
  })
  if (requests !== null) Object.assign(requests, from(requests, UNIT))
  if (tokens !== null) Object.assign(tokens, from(tokens, within(tokens, want) * UNIT))
  if (concurrency !== null) concurrency.open += 1
}
