import type { Clear, ClearItem, ClearReply } from '../commands.ts'
import { loaded, loadedKey, type Loaded, type State } from './state.ts'

/** Counterpart of clear.lua. Source: design §4 (clear). */
export function clear(state: State, command: Clear, inc: number): ClearReply {
  const there = state.accounts.get(command.accountId)
  for (const item of command.items) {
    const key = there?.keys.get(item.keyId)
    if (there !== undefined) there.seen = Math.max(there.seen, item.version)
    if (key !== undefined) key.seen = Math.max(key.seen, item.version)
  }
  const place = loaded(state, command.accountId, inc)
  if (place === null) return { kind: 'stale', what: 'account' }
  return { kind: 'done', items: command.items.map((item) => clearOne(place, item, inc)) }
}

function clearOne(place: Loaded, item: ClearItem, inc: number): 'ok' | 'load' {
  const { account, facts } = place
  const hold = account.holds.get(item.holdId)
  const key = loadedKey(account, item.keyId, inc)
  const inKeyLoad = key?.budget == null || item.version <= key.loadVersion
  if (hold === undefined) {
    return item.version <= facts.loadVersion && inKeyLoad ? 'ok' : 'load'
  }
  if (hold.state === 'held' || hold.rev !== item.rev) return 'load'
  if (item.version <= facts.loadVersion) facts.available += hold.micros
  if (key?.budget != null && inKeyLoad && hold.day >= key.budget.startDay) {
    key.budget.spend -= hold.micros
  }
  account.holds.delete(item.holdId)
  return 'ok'
}
