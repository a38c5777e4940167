import { micros } from '../../kernel/money.ts'
import type * as c from '../commands.ts'
import { uncount } from './bucket.ts'
import { moveKey } from './key.ts'
import { loaded, loadedKey, putHold, type State } from './state.ts'

const STALE: c.Stale = { kind: 'stale', what: 'account' }

/** Counterpart of renew.lua. Source: design §3. */
export function renew(state: State, command: c.Renew, inc: number, nowMs: number): c.RenewReply {
  const place = loaded(state, command.accountId, inc)
  if (place === null) return STALE
  const { account, facts } = place
  const before = account.holds.get(command.holdId)
  if (before?.state === 'settled') return { kind: 'gone' }
  const ofKey = loadedKey(account, command.keyId, inc)?.tokens?.limit ?? 0
  const most = Math.max(ofKey, facts.tokens?.limit ?? 0)
  const tokens = before?.tokens ?? Math.min(command.tokens, most)
  const moved = command.micros - (before?.micros ?? 0)
  const hold = {
    state: 'held' as const,
    micros: command.micros,
    progress: Math.max(before?.progress ?? 0, command.progressMicros),
    rev: 0 as const,
    day: before?.day ?? command.day,
    tokens,
    reservedAtMs: before?.reservedAtMs ?? command.reservedAtMs,
    deadlineMs: nowMs + command.leaseMs,
    keyId: before?.keyId ?? command.keyId,
    owner: command.owner,
    receipt: command.draft,
  }
  facts.available -= moved
  facts.held += moved
  const putBack = before === undefined
  const taken = putBack ? { open: 1, back: -tokens } : { open: 0, back: 0 }
  moveKey(account, hold, inc, { spend: moved, held: moved, ...taken, used: 0 })
  putHold(account, command.holdId, hold)
  return { kind: 'ok', putBack }
}

/** Counterpart of settle.lua. Source: design §2.7, §3. */
export function settle(state: State, command: c.Settle, inc: number): c.SettleReply {
  const place = loaded(state, command.accountId, inc)
  if (place === null) return STALE
  const { account, facts } = place
  const hold = account.holds.get(command.holdId)
  if (hold === undefined) return { kind: 'gone' }
  if (hold.state === 'settled') {
    if (hold.rev !== command.rev) return { kind: 'late' }
    return { kind: 'ok', availableMicros: micros(facts.available) }
  }
  facts.available += hold.micros - command.micros
  facts.held -= hold.micros
  moveKey(account, hold, inc, {
    spend: command.micros - hold.micros,
    held: -hold.micros,
    open: -1,
    back: hold.tokens,
    used: command.tokens,
  })
  const { micros: amount, rev, receipt } = command
  putHold(account, command.holdId, { ...hold, state: 'settled', micros: amount, rev, receipt })
  return { kind: 'ok', availableMicros: micros(facts.available) }
}

/** Counterpart of release.lua. Source: design §3. */
export function release(state: State, command: c.Release, inc: number): c.ReleaseReply {
  const place = loaded(state, command.accountId, inc)
  if (place === null) return STALE
  const { account, facts } = place
  const hold = account.holds.get(command.holdId)
  if (hold?.state !== 'held') return { kind: 'ok' }
  facts.available += hold.micros
  facts.held -= hold.micros
  const back = { spend: -hold.micros, held: -hold.micros, open: -1, back: hold.tokens, used: 0 }
  moveKey(account, hold, inc, back)
  if (command.isUncounted === true) {
    for (const limits of [facts, loadedKey(account, hold.keyId, inc)]) uncount(limits?.requests)
  }
  account.holds.delete(command.holdId)
  return { kind: 'ok' }
}

/** Counterpart of recover.lua. Source: design §3 (recovery). */
export function recover(
  state: State,
  command: c.Recover,
  inc: number,
  nowMs: number,
): c.RecoverReply {
  const place = loaded(state, command.accountId, inc)
  if (place === null) return STALE
  const { account, facts } = place
  const hold = account.holds.get(command.holdId)
  if (hold === undefined) return { kind: 'gone' }
  const { deadlineMs, day, receipt, reservedAtMs } = hold
  if (deadlineMs !== command.deadlineMs || nowMs <= deadlineMs) return { kind: 'alive' }
  if (hold.state === 'settled') {
    const rev = hold.rev === 1 ? 1 : 2
    return { kind: 'post', micros: micros(hold.micros), rev, receipt, day, reservedAtMs }
  }
  const { progress } = hold
  facts.available += hold.micros - progress
  facts.held -= hold.micros
  const back = { spend: progress - hold.micros, held: -hold.micros, open: -1, back: 0, used: 0 }
  moveKey(account, hold, inc, back)
  if (progress === 0) {
    account.holds.delete(command.holdId)
    return { kind: 'released' }
  }
  putHold(account, command.holdId, { ...hold, state: 'settled', micros: progress, rev: 1 })
  return { kind: 'post', micros: micros(progress), rev: 1, receipt, day, reservedAtMs }
}
