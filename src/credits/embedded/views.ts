import { micros } from '../../kernel/money.ts'
import type { AccountView, HoldView, KeyView, LapsedHold } from '../commands.ts'
import { dueMember } from '../redis/record.ts'
import type { AccountRef, KeyRef, LapsedPage } from '../transport.ts'
import { loaded, loadedKey, type Account, type State } from './state.ts'

/** Redis orders members of one score by their bytes. */
function byName(a: LapsedHold, b: LapsedHold): number {
  const [left, right] = [dueMember(a), dueMember(b)]
  if (left === right) return 0
  return left < right ? -1 : 1
}

/** Counterpart of lapsed.lua over all accounts, longest lapsed first. */
export function lapsed(state: State, page: LapsedPage, nowMs: number): readonly LapsedHold[] {
  const { fromMs, skip, limit } = page
  const found: LapsedHold[] = []
  for (const [accountId, account] of state.accounts) {
    for (const [holdId, { keyId, deadlineMs }] of account.holds) {
      if (deadlineMs < fromMs || deadlineMs >= nowMs) continue
      found.push({ accountId, keyId, holdId, deadlineMs })
    }
  }
  return found.sort((a, b) => a.deadlineMs - b.deadlineMs || byName(a, b)).slice(skip, skip + limit)
}

/** Counterpart of view-account.lua. */
export function viewAccount(state: State, ref: AccountRef, inc: number): AccountView | null {
  const place = loaded(state, ref.accountId, inc)
  if (place === null) return null
  const { facts, account } = place
  return {
    accountId: ref.accountId,
    availableMicros: micros(facts.available),
    creditLimitMicros: micros(facts.limit),
    status: facts.status,
    changeSeq: facts.changeSeq,
    loadVersion: facts.loadVersion,
    requestsPerMinute: facts.requests?.limit ?? null,
    tokensPerMinute: facts.tokens?.limit ?? null,
    maxConcurrency: facts.concurrency?.limit ?? null,
    openHolds: facts.concurrency?.open ?? 0,
    holds: viewHolds(ref, account),
  }
}

const viewHolds = ({ accountId }: AccountRef, { holds }: Account): HoldView[] =>
  [...holds].map(([holdId, hold]) => ({
    accountId,
    keyId: hold.keyId,
    holdId,
    state: hold.state,
    micros: micros(hold.micros),
    progressMicros: micros(hold.progress),
    rev: hold.rev,
    day: hold.day,
    deadlineMs: hold.deadlineMs,
  }))

/** Counterpart of view-key.lua. */
export function viewKey(state: State, ref: KeyRef, inc: number): KeyView | null {
  const account = state.accounts.get(ref.accountId)
  const facts = account && loadedKey(account, ref.keyId, inc)
  if (account === undefined || facts == null) return null
  const holds = facts.budget === null ? [] : viewHolds(ref, account)
  return {
    keyId: ref.keyId,
    status: facts.status,
    budgetMicros: facts.budget && micros(facts.budget.limit),
    spendMicros: micros(facts.budget?.spend ?? 0),
    periodStartDay: facts.budget?.startDay ?? facts.periodStartDay,
    requestsPerMinute: facts.requests?.limit ?? null,
    tokensPerMinute: facts.tokens?.limit ?? null,
    maxConcurrency: facts.concurrency?.limit ?? null,
    openHolds: facts.concurrency?.open ?? 0,
    changeSeq: facts.changeSeq,
    loadVersion: facts.loadVersion,
    holds: holds.filter(({ keyId }) => keyId === ref.keyId),
  }
}
