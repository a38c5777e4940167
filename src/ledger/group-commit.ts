import { sleep, type Clock } from '../kernel/clock.ts'
import * as limits from '../kernel/limits.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { makeBacklog, type Backlog, type Waiting } from './backlog.ts'
import type { PostingLedger } from './ledger.ts'
import { faultOf, type PostFault } from './post-faults.ts'
import type { Poster } from './poster.ts'
import type { PostOutcome } from './receipt.ts'

/** What happens inside, for metrics. */
export interface PosterHooks {
  /** A transaction posted `size` receipts in `ms`. */
  batch?(size: number, ms: number): void
  /** A transaction failed; what is done about it follows from the fault. */
  failed?(fault: PostFault): void
  parked?(): void
  /** An answer went out before its charge was in Postgres. */
  deferred?(): void
}

export interface PosterOptions {
  readonly ledger: Pick<PostingLedger, 'post' | 'park'>
  readonly clock: Clock
  readonly log: Log
  /** How long an answer waits for its charge. Source: design §2.9. */
  readonly postWaitMs: number
  readonly on?: PosterHooks
  /** Transactions at once. Default 1: receipts gather while one is under way. */
  readonly lanes?: number
  /** Receipts in a transaction. Default POST_BATCH_MAX. */
  readonly batchMax?: number
}

/** Makes the group commit of one process. */
export function makePoster(options: PosterOptions): Poster {
  const { clock } = options
  const backlog = makeBacklog(clock, options.batchMax ?? limits.POST_BATCH_MAX)
  const breaker = { isOpen: false }
  const lanes = { free: options.lanes ?? 1, isDue: false }
  const idle: (() => void)[] = []

  function settle(waiting: Waiting, outcome: PostOutcome): void {
    backlog.done(waiting)
    waiting.resolve(outcome)
    if (backlog.count > 0) return
    for (const resolve of idle.splice(0)) resolve()
  }

  const post = makeBatchPoster({ ...options, settle, requeue, closeBreaker })

  function closeBreaker(): void {
    breaker.isOpen = false
  }

  function requeue(waiting: Waiting): void {
    backlog.requeue(waiting)
    startSoon()
  }

  // What is submitted in the same turn of the event loop travels in the same transaction.
  function startSoon(): void {
    if (lanes.isDue || lanes.free === 0) return
    lanes.isDue = true
    queueMicrotask(() => {
      lanes.isDue = false
      if (lanes.free > 0 && backlog.hasQueued) void runLane()
    })
  }

  async function runLane(): Promise<void> {
    lanes.free -= 1
    while (backlog.hasQueued) await post(backlog.take()) // never rejects
    lanes.free += 1
  }

  return {
    submit(item) {
      const outcome = new Promise<PostOutcome>((resolve) => {
        backlog.add(item, resolve)
      })
      startSoon()
      return { outcome, wait: () => waitFor(outcome, options, breaker) }
    },
    get full() {
      return backlog.isFull
    },
    get backlog() {
      return viewOf(backlog)
    },
    get breakerOpen() {
      return breaker.isOpen
    },
    async drain(deadlineMs) {
      if (backlog.count > 0) {
        const empty = new Promise<void>((resolve) => idle.push(resolve))
        await Promise.race([empty, sleep(clock, deadlineMs)])
      }
      return backlog.count
    },
  }
}

const viewOf = ({ count, bytes, oldestMs }: Backlog) => ({ count, bytes, oldestMs })

function waitFor(
  outcome: Promise<PostOutcome>,
  { clock, postWaitMs, on }: PosterOptions,
  breaker: { isOpen: boolean },
): Promise<'posted' | 'deferred'> {
  if (breaker.isOpen) {
    on?.deferred?.()
    return Promise.resolve('deferred')
  }
  return new Promise((resolve) => {
    const cancel = clock.after(postWaitMs, () => {
      breaker.isOpen = true
      on?.deferred?.()
      resolve('deferred')
    })
    void outcome.then(() => {
      cancel()
      resolve('posted')
    })
  })
}

interface BatchPosterOptions extends PosterOptions {
  settle(waiting: Waiting, outcome: PostOutcome): void
  requeue(waiting: Waiting): void
  closeBreaker(): void
}

/** Posts a batch, by whatever it takes. The promise never rejects. */
function makeBatchPoster(options: BatchPosterOptions): (batch: Waiting[]) => Promise<void> {
  const { ledger, clock, log, on } = options

  async function tryOnce(batch: readonly Waiting[]): Promise<unknown> {
    const startedMs = clock.monotonicMs()
    try {
      const items = batch.map(({ item }) => item)
      const outcomes = await ledger.post(items, clock.now())
      on?.batch?.(batch.length, clock.monotonicMs() - startedMs)
      options.closeBreaker()
      batch.forEach((waiting, i) => {
        const outcome = outcomes[i]
        if (outcome === undefined) throw new Error('post answered too few outcomes')
        options.settle(waiting, outcome)
      })
      return null
    } catch (error) {
      on?.failed?.(faultOf(error))
      return error
    }
  }

  async function post(batch: readonly Waiting[]): Promise<void> {
    let backoffMs = limits.POST_RETRY_MS_MIN
    let strangeTries = 0
    for (;;) {
      const error = await tryOnce(batch)
      if (error === null) return
      const fault = faultOf(error)
      if (fault === 'strange') strangeTries += 1
      log.warn({ fault, size: batch.length, error: describeError(error) }, 'posting failed')
      if (fault === 'row' || strangeTries >= limits.POST_STRANGE_TRIES_MAX) {
        await split(batch, fault, error)
        return
      }
      await sleep(clock, backoffMs)
      backoffMs = Math.min(backoffMs * 2, limits.POST_RETRY_MS_MAX)
    }
  }

  /** Halves until the bad row stands alone, so that it stops nobody else. */
  async function split(batch: readonly Waiting[], fault: PostFault, error: unknown): Promise<void> {
    const [first] = batch
    if (first !== undefined && batch.length === 1) {
      await giveUpOn(first, fault, error)
      return
    }
    const middle = Math.ceil(batch.length / 2)
    await post(batch.slice(0, middle))
    await post(batch.slice(middle))
  }

  async function giveUpOn(waiting: Waiting, fault: PostFault, error: unknown): Promise<void> {
    const { holdId } = waiting.item.receipt
    if (fault === 'row') {
      try {
        const reason = describeError(error)
        const outcome = await ledger.park(waiting.item, reason, clock.now())
        log.error({ holdId, error: reason }, 'a receipt cannot be posted; parked as a finding')
        on?.parked?.()
        options.settle(waiting, outcome)
        return
      } catch (parkError) {
        log.error({ holdId, error: describeError(parkError) }, 'parking a receipt failed')
      }
    }
    // What is settled is never dropped: it comes again, behind the others.
    clock.after(limits.POST_RETRY_MS_MAX, () => {
      options.requeue(waiting)
    })
  }

  return post
}
