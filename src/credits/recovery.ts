import type { Clock } from '../kernel/clock.ts'
import { LAPSED_SEEN_MAX, RECOVERIES_MAX } from '../kernel/limits/holds.ts'
import { PARKED_RETRY_MS } from '../kernel/limits/posting.ts'
import { describeError, type Log } from '../kernel/log.ts'
import type { Poster } from '../ledger/poster.ts'
import type { PostItem, PostOutcome } from '../ledger/receipt.ts'
import type { Clearing } from './clearing.ts'
import type { CreditEngine, LapsedHold, RecoverReply } from './commands.ts'
import { finishPosted } from './finish.ts'
import type { Loads } from './load.ts'
import { recoveredReceipt } from './receipt-text.ts'

export interface RecoveryDeps {
  readonly engine: Pick<CreditEngine, 'lapsed' | 'recover'>
  readonly poster: Pick<Poster, 'submit'>
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
  /** Logs what was ended and not told yet: a sweep does, of the one before, and none the last. */
  tell(): void
  /** Recoveries that still wait for their post. */
  readonly pending: number
}

/** What one process knows of a lapsed hold from sweep to sweep, by its monotonic clock. */
interface Seen {
  readonly hold: LapsedHold
  readonly firstSeenMs: number
  /** The engine answered that it must be posted: without room for posts there is no use asking. */
  owesPost: boolean
  /** Its receipt was parked: no look before this, ms. */
  notBeforeMs: number
}

function makeNotes(clock: Clock, renewalMs: number): (lapsed: readonly LapsedHold[]) => Seen[] {
  let seen = new Map<string, Seen>()
  return (lapsed) => {
    const nowMs = clock.monotonicMs()
    const next = new Map<string, Seen>()
    const due: Seen[] = []
    for (const hold of lapsed.slice(0, LAPSED_SEEN_MAX)) {
      const before = seen.get(hold.holdId)
      const same = before?.hold.deadlineMs === hold.deadlineMs ? before : null
      const note = same ?? { hold, firstSeenMs: nowMs, owesPost: false, notBeforeMs: 0 }
      next.set(hold.holdId, note)
      if (same === null || nowMs - same.firstSeenMs < renewalMs) continue
      if (same.notBeforeMs === 0 || nowMs >= same.notBeforeMs) due.push(same)
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

/** How holds ended since that was last told: after a loss of Redis there are thousands. */
interface Tally {
  add(end: 'released' | PostOutcome['kind']): void
  tell(): void
}

function makeTally(log: Log): Tally {
  const none = { released: 0, new: 0, noop: 0, parked: 0 }
  let counts = { ...none }
  return {
    add(end) {
      counts[end] += 1
    },
    tell() {
      const { released, new: posted, noop: posted_before, parked } = counts
      if (released + posted + posted_before + parked === 0) return
      counts = { ...none }
      log.info({ released, posted, posted_before, parked }, 'holds recovered')
    },
  }
}

async function post(
  deps: Parts,
  seen: Seen,
  reply: RecoverReply & { kind: 'post' },
): Promise<void> {
  const { hold } = seen
  const item: PostItem = { receipt: recoveredReceipt(reply), unbacked: false, answer: null }
  const outcome = await deps.poster.submit(item).outcome
  deps.onRecovered('posted')
  deps.tally.add(outcome.kind)
  deps.log.debug({ request_id: hold.holdId, outcome: outcome.kind }, 'hold recovered and posted')
  if (outcome.kind === 'parked') seen.notBeforeMs = deps.clock.monotonicMs() + PARKED_RETRY_MS
  await finishPosted(deps, item, outcome, true)
}

/** Holds whose post is under way; during an outage of Postgres they stay here. */
type Posting = Set<string>

const hasRoom = (posting: Posting): boolean => posting.size < RECOVERIES_MAX

interface Parts extends RecoveryDeps {
  readonly tally: Tally
}

/** Ends one hold. `asked` is called once the engine has answered: the post may take long. */
async function end(deps: Parts, seen: Seen, posting: Posting, asked: () => void): Promise<void> {
  const { loads, log } = deps
  const { accountId, keyId, holdId } = seen.hold
  try {
    const reply = await ask(deps, seen.hold)
    seen.owesPost = reply.kind === 'post'
    const isPosted = reply.kind === 'post' && hasRoom(posting)
    if (isPosted) posting.add(holdId)
    asked()
    // Without room it stays settled in the engine, for a later sweep.
    if (isPosted) await post(deps, seen, reply)
    if (reply.kind === 'released') {
      deps.onRecovered('released')
      deps.tally.add('released')
      await loads.account(accountId, 'drift')
      await loads.key(accountId, keyId, 'drift')
    }
  } catch (error) {
    log.error({ request_id: holdId, error: describeError(error) }, 'recovery failed')
  } finally {
    posting.delete(holdId)
    asked()
  }
}

export function makeRecovery(deps: RecoveryDeps): Recovery {
  const tally = makeTally(deps.log)
  const parts: Parts = { ...deps, tally }
  const note = makeNotes(deps.clock, deps.renewalMs)
  const busy = new Set<string>()
  const posting: Posting = new Set()

  const take = (seen: Seen): Promise<void> =>
    new Promise((asked) => {
      busy.add(seen.hold.holdId)
      void end(parts, seen, posting, asked).finally(() => busy.delete(seen.hold.holdId))
    })

  return {
    tell: () => {
      tally.tell()
    },
    get pending() {
      return busy.size
    },
    async sweep() {
      tally.tell() // with what the posts of the sweep before came to
      const due = note(await deps.engine.lapsed()).filter(({ hold }) => !busy.has(hold.holdId))
      let taken = 0
      // Who was never asked comes first: it may be a plain release, which needs no Postgres.
      const waiting = [...due.filter((s) => !s.owesPost), ...due.filter((s) => s.owesPost)]
      for (let at = 0; at < waiting.length; at += RECOVERIES_MAX) {
        const turn = waiting.slice(at, at + RECOVERIES_MAX)
        const useful = turn.filter(({ owesPost }) => !owesPost || hasRoom(posting))
        await Promise.all(useful.map(take))
        taken += useful.length
      }
      return taken
    },
  }
}
