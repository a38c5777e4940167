import type { BudgetPeriod, KeySnapshot } from '../../ledger/ledger.ts'
import { LOAD_TOKEN_MS } from '../../kernel/limits/holds.ts'
import type { LoadReply, LoadToken } from '../commands.ts'
import { dayOf, periodStart } from '../../ledger/periods.ts'
import type * as t from '../transport.ts'
import { full } from './bucket.ts'
import { sumKey } from './key.ts'
import * as s from './state.ts'

/** Counterpart of begin.lua. Source: design §4 (load). */
function begin(
  place: s.Loading & { readonly facts: Facts | null },
  candidate: string,
  inc: number,
  nowMs: number,
): LoadToken {
  const { token } = place
  const wasLoaded = place.facts !== null
  if (token?.inc === inc && nowMs < token.untilMs) return { token: token.text, wasLoaded, nowMs }
  place.token = { text: candidate, inc, untilMs: nowMs + LOAD_TOKEN_MS }
  place.seen = 0
  return { token: candidate, wasLoaded, nowMs }
}

export function beginAccount(
  state: s.State,
  command: t.BeginAccount,
  inc: number,
  nowMs: number,
): LoadToken {
  return begin(s.placeOf(state, command.accountId), command.token, inc, nowMs)
}

export function beginKey(
  state: s.State,
  command: t.BeginKey,
  inc: number,
  nowMs: number,
): LoadToken {
  return begin(s.keyPlaceOf(state, command.accountId, command.keyId), command.token, inc, nowMs)
}

interface Facts {
  readonly inc: number
  readonly loadVersion: number
  readonly changeSeq: number
}

/** Whether the token does not stand any more, and what a load with it is answered then. */
function spent(
  place: s.Loading & { readonly facts: Facts | null },
  command: { token: string; snapshot: { version: number; changeSeq: number } },
  inc: number,
): LoadReply | null {
  if (place.token?.text === command.token && place.token.inc === inc) return null
  const { facts } = place
  const { version, changeSeq } = command.snapshot
  const brought =
    place.lastToken === command.token &&
    facts?.inc === inc &&
    facts.loadVersion >= version &&
    facts.changeSeq >= changeSeq
  return { kind: brought ? 'ok' : 'refused' }
}

function finish(place: s.Loading, token: string, version: number): LoadReply {
  place.seen = Math.max(place.seen, version)
  place.token = null
  place.lastToken = token
  return { kind: 'ok' }
}

/** Counterpart of load-account.lua. Source: design §4 (load). */
export function loadAccount(
  state: s.State,
  command: t.LoadAccount,
  inc: number,
  nowMs: number,
): LoadReply {
  const account = state.accounts.get(command.accountId)
  if (account === undefined) return { kind: 'refused' }
  const reply = spent(account, command, inc)
  if (reply !== null) return reply
  const { snapshot } = command
  if (snapshot.version < account.seen) return { kind: 'refused' }
  const sum = { held: 0, settled: 0 }
  for (const hold of account.holds.values()) sum[hold.state] += hold.micros
  const open = [...account.holds.values()].filter(({ state: of }) => of === 'held').length
  const before = account.facts?.inc === inc ? account.facts : null
  account.facts = {
    inc,
    available: snapshot.postedMicros - sum.held - sum.settled,
    held: sum.held,
    limit: snapshot.creditLimitMicros,
    status: snapshot.status,
    ...limitsOf(snapshot, before, open, nowMs),
    changeSeq: snapshot.changeSeq,
    loadVersion: snapshot.version,
  }
  return finish(account, command.token, snapshot.version)
}

/** Counterpart of load-key.lua. Source: design §4 (load). */
export function loadKey(state: s.State, command: t.LoadKey, inc: number, nowMs: number): LoadReply {
  const account = state.accounts.get(command.accountId)
  const key = account?.keys.get(command.keyId)
  if (account === undefined || key === undefined) return { kind: 'refused' }
  const reply = spent(key, command, inc)
  if (reply !== null) return reply
  const { snapshot } = command
  const budget = budgetOf(snapshot)
  if (budget !== null) {
    const isOther = snapshot.periodStartDay !== periodStart(budget.period, dayOf(nowMs))
    if (isOther || snapshot.version < key.seen) return { kind: 'refused' }
  }
  const sum = sumKey(account, command.keyId, snapshot.periodStartDay)
  const before = key.facts?.inc === inc ? key.facts : null
  const startDay = snapshot.periodStartDay
  key.facts = {
    inc,
    status: snapshot.status,
    expiresAtMs: snapshot.expiresAtMs,
    budget: budget && {
      ...budget,
      startDay,
      spend: snapshot.spendMicros + sum.spend,
      held: sum.held,
    },
    ...limitsOf(snapshot, before, sum.open, nowMs),
    periodStartDay: startDay,
    lastDay: Math.max(snapshot.lastDay, sum.lastDay),
    changeSeq: snapshot.changeSeq,
    loadVersion: snapshot.version,
  }
  return finish(key, command.token, snapshot.version)
}

function budgetOf(snapshot: KeySnapshot): { limit: number; period: BudgetPeriod } | null {
  const { budgetMicros, budgetPeriod } = snapshot
  if (budgetMicros === null || budgetPeriod === null) return null
  return { limit: budgetMicros, period: budgetPeriod }
}

const limitsOf = (
  of: Pick<KeySnapshot, 'requestsPerMinute' | 'tokensPerMinute' | 'maxConcurrency'>,
  before: s.Limits | null,
  open: number,
  nowMs: number,
): s.Limits => ({
  requests: bucketOf(of.requestsPerMinute, before?.requests, nowMs),
  tokens: bucketOf(of.tokensPerMinute, before?.tokens, nowMs),
  concurrency: of.maxConcurrency === null ? null : { limit: of.maxConcurrency, open },
})

/** Levels stay while the incarnation lasts, else they start full. */
function bucketOf(
  limit: number | null,
  before: s.Bucket | null | undefined,
  nowMs: number,
): s.Bucket | null {
  if (limit === null) return null
  if (before == null) return { limit, level: full(limit), atMs: nowMs }
  return { limit, level: Math.min(full(limit), before.level), atMs: before.atMs }
}
