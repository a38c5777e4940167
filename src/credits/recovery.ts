import type { Clock } from '../kernel/clock.ts'
import { LAPSED_SEEN_MAX, RECOVERIES_MAX } from '../kernel/limits.ts'
import { describeError, type Log } from '../kernel/log.ts'
import type { Poster } from '../ledger/poster.ts'
import type { PostItem } from '../ledger/receipt.ts'
import type { Clearing } from './clearing.ts'
import type { CreditEngine, LapsedHold, RecoverReply } from './commands.ts'
import { finishPosted } from './finish.ts'
import type { Loads } from './load.ts'
import { recoveredReceipt } from './receipt-text.ts'

export interface RecoveryDeps {
  readonly engine: CreditEngine
  readonly poster: Poster
  readonly loads: Loads
  readonly clearing: Clearing
  readonly clock: Clock
  readonly log: Log
  /** A hold is taken when it was seen lapsed with the same deadline at least so long ago, ms. */
  readonly renewalMs: number
  readonly onRecovered: (result: 'posted' | 'released') => void
}

export interface Recovery {
  /**
   * One sweep: remembers what is lapsed and ends what was lapsed before, with the same deadline, a
   * renewal ago by this process's monotonic clock. Answers how many were ended. Throws where the
   * engine does not answer. Source: design §3.
   */
  sweep(): Promise<number>
  /** Recoveries that still wait for their post. */
  readonly pending: number
}

interface Seen {
  readonly deadlineMs: number
  readonly firstSeenMs: number
}

/** Remembers lapsed holds from sweep to sweep, by this process's monotonic clock. */
function makeNotes(
  clock: Clock,
  renewalMs: number,
): (lapsed: readonly LapsedHold[]) => LapsedHold[] {
  let seen = new Map<string, Seen>()
  return (lapsed) => {
    const nowMs = clock.monotonicMs()
    const next = new Map<string, Seen>()
    const due: LapsedHold[] = []
    for (const hold of lapsed.slice(0, LAPSED_SEEN_MAX)) {
      const before = seen.get(hold.holdId)
      const same = before?.deadlineMs === hold.deadlineMs ? before : null
      next.set(hold.holdId, same ?? { deadlineMs: hold.deadlineMs, firstSeenMs: nowMs })
      if (same !== null && nowMs - same.firstSeenMs >= renewalMs) due.push(hold)
    }
    seen = next
    return due
  }
}

async function ask({ engine, loads }: RecoveryDeps, hold: LapsedHold): Promise<RecoverReply> {
  const reply = await engine.recover(hold)
  if (reply.kind !== 'stale') return reply
  await loads.account(hold.accountId, 'missing')
  await loads.key(hold.accountId, hold.keyId, 'missing')
  return engine.recover(hold)
}

async function post(
  deps: RecoveryDeps,
  hold: LapsedHold,
  reply: RecoverReply & { kind: 'post' },
): Promise<void> {
  const item: PostItem = { receipt: recoveredReceipt(reply), unbacked: false, answer: null }
  const outcome = await deps.poster.submit(item).outcome
  deps.onRecovered('posted')
  deps.log.info({ request_id: hold.holdId, outcome: outcome.kind }, 'hold recovered and posted')
  await finishPosted(deps, item, outcome, true)
}

/** Ends one hold. `asked` is called once the engine has answered: the post may take long. */
async function end(deps: RecoveryDeps, hold: LapsedHold, asked: () => void): Promise<void> {
  const { loads, log } = deps
  try {
    const reply = await ask(deps, hold)
    asked()
    if (reply.kind === 'post') await post(deps, hold, reply)
    if (reply.kind === 'released') {
      deps.onRecovered('released')
      await loads.account(hold.accountId, 'drift')
      await loads.key(hold.accountId, hold.keyId, 'drift')
    }
  } catch (error) {
    log.error({ request_id: hold.holdId, error: describeError(error) }, 'recovery failed')
  } finally {
    asked()
  }
}

export function makeRecovery(deps: RecoveryDeps): Recovery {
  const note = makeNotes(deps.clock, deps.renewalMs)
  const busy = new Set<string>()

  const take = (hold: LapsedHold): Promise<void> =>
    new Promise((asked) => {
      busy.add(hold.holdId)
      void end(deps, hold, asked).finally(() => busy.delete(hold.holdId))
    })

  return {
    get pending() {
      return busy.size
    },
    async sweep() {
      const free = note(await deps.engine.lapsed()).filter((hold) => !busy.has(hold.holdId))
      const due = free.slice(0, RECOVERIES_MAX - busy.size)
      await Promise.all(due.map(take))
      return due.length
    },
  }
}
