import { micros } from '../../kernel/money.ts'
import type { Reserve, ReserveReply } from '../commands.ts'
import { dayOf, periodStart } from '../../ledger/periods.ts'
import { levelAt, UNIT, waitMs } from './bucket.ts'
import { sumKey } from './key.ts'
import { loaded, loadedKey, putHold, type Account, type KeyFacts, type State } from './state.ts'

/** Embedded counterpart of reserve.lua, step for step. Source: design §2.4, §3. */
export function reserve(state: State, command: Reserve, inc: number, nowMs: number): ReserveReply {
  const place = loaded(state, command.accountId, inc)
  if (place === null) return { kind: 'stale', what: 'account' }
  const { account, facts } = place
  const before = account.holds.get(command.holdId)
  if (before !== undefined) {
    return granted(before.micros, before.day, before.reservedAtMs, nowMs, facts.available)
  }
  if (nowMs > command.notAfterMs) return { kind: 'too_late', nowMs }
  const key = loadedKey(account, command.keyId, inc)
  if (key === null || key.changeSeq < command.keySeq) return { kind: 'stale', what: 'key' }
  if (facts.status !== 'active') return { kind: 'account_blocked', status: facts.status }
  if (key.status !== 'active') return { kind: 'key_invalid' }
  if (key.expiresAtMs !== null && nowMs >= key.expiresAtMs) return { kind: 'key_invalid' }

  const day = dayOf(nowMs)
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
    return { kind: 'budget', leftMicros: micros(budget.left), heldMicros: micros(budget.held) }
  }
  const rated = takeRates(key, command.tokens, nowMs)
  if ('kind' in rated) return rated

  if (key.budget !== null) {
    key.budget.startDay = budget.startDay
    key.budget.spend = budget.spend + amount
    key.budget.held = budget.held + amount
  }
  facts.available -= amount
  facts.held += amount
  putHold(account, command.holdId, {
    state: 'held',
    micros: amount,
    progress: 0,
    rev: 0,
    day,
    tokens: rated.tokens,
    reservedAtMs: nowMs,
    deadlineMs: nowMs + command.leaseMs,
    keyId: command.keyId,
    owner: command.owner,
    receipt: '', // what has no progress is released
  })
  return granted(amount, day, nowMs, nowMs, facts.available)
}

function granted(
  amount: number,
  day: number,
  reservedAtMs: number,
  nowMs: number,
  available: number,
): ReserveReply {
  const availableMicros = micros(available)
  return { kind: 'ok', micros: micros(amount), day, reservedAtMs, nowMs, availableMicros }
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
  if (startDay <= budget.startDay) return { ...budget, left: budget.limit - budget.spend }
  const { spend, held } = sumKey(account, keyId, startDay)
  return { startDay, spend, held, left: budget.limit - spend }
}

type Rated = { readonly tokens: number } | Extract<ReserveReply, { kind: 'rate' }>

/** Takes from every rate, or from none. */
function takeRates(key: KeyFacts, wantTokens: number, nowMs: number): Rated {
  const { requests, tokens, concurrency } = key
  const taken = tokens === null ? 0 : Math.min(wantTokens, tokens.limit)
  const requestLevel = requests === null ? 0 : levelAt(requests, nowMs)
  const tokenLevel = tokens === null ? 0 : levelAt(tokens, nowMs)
  if (requests !== null && requestLevel < UNIT) {
    return { kind: 'rate', limit: 'requests', retryAfterMs: waitMs(requests, requestLevel, UNIT) }
  }
  if (tokens !== null && tokenLevel < taken * UNIT) {
    const retryAfterMs = waitMs(tokens, tokenLevel, taken * UNIT)
    return { kind: 'rate', limit: 'tokens', retryAfterMs }
  }
  if (concurrency !== null && concurrency.open >= concurrency.limit) {
    return { kind: 'rate', limit: 'concurrency', retryAfterMs: 1_000 }
  }
  if (requests !== null) Object.assign(requests, { level: requestLevel - UNIT, atMs: nowMs })
  if (tokens !== null) Object.assign(tokens, { level: tokenLevel - taken * UNIT, atMs: nowMs })
  if (concurrency !== null) concurrency.open += 1
  return { tokens: taken }
}
