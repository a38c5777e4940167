import {
  NOSCRIPT,
  type CommandName,
  type Input,
  type Transport,
} from '../../src/credits/transport.ts'
import type { PostingLedger } from '../../src/ledger/ledger.ts'
import type { PostItem } from '../../src/ledger/receipt.ts'
import type { Db } from '../../src/store/db.ts'
import { withoutGuard } from '../ledger/support.ts'

/**
 * Rules of the protocol that can be left out, to see that the simulator misses them. A simulator
 * that finds nothing without one of them would find nothing if the program broke it.
 */
export const RULES = [
  'a posting that Redis does not back changes the account',
  'recovery is revision 1',
  'clear gives back what a load had counted',
  'an unknown script is an incarnation, not a script to send again',
  'a load needs a token that still stands',
  'progress survives in renewals',
  'changes are swept',
  'a posting from what was kept finds its accounts as they were',
  'a posting from what was kept finds no receipt of its holds',
] as const
export type Rule = (typeof RULES)[number]

/** A ledger in which `rule` does not hold. */
export function breakLedger(rule: Rule | null, ledger: PostingLedger): PostingLedger {
  const giving = (change: (item: PostItem) => PostItem): PostingLedger => ({
    ...ledger,
    post: (items, nowMs) => ledger.post(items.map(change), nowMs),
  })
  if (rule === 'a posting that Redis does not back changes the account') {
    return giving((item) => ({ ...item, unbacked: false }))
  }
  if (rule === 'recovery is revision 1') {
    return giving((item) => ({ ...item, receipt: { ...item.receipt, rev: 2 } }))
  }
  return ledger
}

/** A database on which `rule` does not hold. */
export function breakDb(rule: Rule | null, db: Db): Db {
  if (rule === 'a posting from what was kept finds its accounts as they were') {
    return withoutGuard(db, 'accounts')
  }
  const isUnposted = rule === 'a posting from what was kept finds no receipt of its holds'
  return isUnposted ? withoutGuard(db, 'unposted') : db
}

const LATEST = Number.MAX_SAFE_INTEGER

/** What is sent instead of `input`. */
function breakInput<N extends CommandName>(rule: Rule, name: N, input: Input<N>): Input<N> {
  if (rule === 'clear gives back what a load had counted' && 'items' in input) {
    const items = input.items.map((item) => ({ ...item, version: LATEST }))
    return Object.assign({}, input, { items })
  }
  if (rule === 'progress survives in renewals' && name === 'renew') {
    return Object.assign({}, input, { progressMicros: 0 })
  }
  return input
}

/** A way to the credit state on which `rule` does not hold. */
export function breakTransport(rule: Rule | null, real: Transport): Transport {
  if (rule === null) return real
  return {
    ...real,
    async run(name, shard, input, inc) {
      const send = () => real.run(name, shard, breakInput(rule, name, input), inc)
      const reply = await send()
      if (reply === NOSCRIPT) {
        if (rule !== 'an unknown script is an incarnation, not a script to send again') return reply
        await real.loadScripts(real.nodeOf(shard), inc)
        return send()
      }
      const forges = rule === 'a load needs a token that still stands' && name === 'load-account'
      if (!forges || !isRefused(reply) || !('accountId' in input)) return reply
      const candidate = { accountId: input.accountId, token: `forged-${input.accountId}` }
      const begun = await real.run('begin-account', shard, candidate, inc)
      if (begun === NOSCRIPT) return reply
      return real.run(name, shard, Object.assign({}, input, begun), inc)
    },
  }
}

const isRefused = (reply: unknown): boolean =>
  typeof reply === 'object' && reply !== null && 'kind' in reply && reply.kind === 'refused'
