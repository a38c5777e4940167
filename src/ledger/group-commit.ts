import { sleep, type Clock } from '../kernel/clock.ts'
import * as limits from '../kernel/limits/posting.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { makeBacklog, type Backlog, type Waiting } from './backlog.ts'
import type { PostingLedger } from './ledger.ts'
import { faultOf, type PostFault } from './post-faults.ts'
import type { Poster } from './poster.ts'
import { makeWaits, type Waits } from './waits.ts'
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
  /** Receipts in a transaction. Default POST_BATCH_MAX. */
  readonly batchMax?: number
}

/** Runs batches one after the other: what comes meanwhile gathers for the next one. */
function makeLane(
  backlog: Backlog,
  post: (batch: readonly Waiting[]) => Promise<void>,
): () => void {
  let isBusy = false
  let isDue = false

  async function run(): Promise<void> {
    isBusy = true
    while (backlog.hasQueued) await post(backlog.take()) // never rejects
    isBusy = false
  }

  // What is submitted in the same turn of the event loop travels in the same transaction.
  return () => {
    if (isDue || isBusy) return
    isDue = true
    queueMicrotask(() => {
      isDue = false
      if (!isBusy && backlog.hasQueued) void run()
    })
  }
}

/** Makes the group commit of one process. */
export function makePoster(options: PosterOptions): Poster {
  const backlog = makeBacklog(options.clock, options.batchMax ?? limits.POST_BATCH_MAX)
  const breaker = { isOpen: false }
  const waits = makeWaits(options.clock, options.postWaitMs, () => {
    breaker.isOpen = true
    options.on?.deferred?.()
  })
  const idle: (() => void)[] = []
  const trouble = makeTrouble(options, backlog)
  const steps: BatchSteps = {
    ...options,
    failed: trouble.began,
    settle(waiting, outcome) {
      trouble.ended(waiting, outcome)
      backlog.done(waiting)
      waiting.resolve(outcome)
      if (backlog.count > 0) return
      for (const resolve of idle.splice(0)) resolve()
    },
    requeue(waiting) {
      backlog.requeue(waiting)
      startSoon()
    },
    closeBreaker() {
      breaker.isOpen = false
    },
  }
  const startSoon = makeLane(backlog, (batch) => post(steps, batch))

  return {
    submit(item) {
      const ticket = makeTicket(options, breaker, waits)
      backlog.add(item, ticket.resolve)
      startSoon()
      return ticket
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
        await Promise.race([empty, sleep(options.clock, deadlineMs)])
      }
      return backlog.count
    },
  }
}

/**
 * Posting is in trouble from a failure that no row explains until what failed first is posted, or,
 * where that is parked, what failed with it.
 */
function makeTrouble({ clock, log }: PosterOptions, backlog: Backlog) {
  let failed: readonly Waiting[] = []
  return {
    began: (batch: readonly Waiting[]): void => {
      if (failed.length === 0) failed = batch
    },
    ended: (waiting: Waiting, { kind }: PostOutcome): void => {
      if (waiting !== failed[0]) return
      const isParked = kind === 'parked'
      failed = isParked ? failed.filter((one) => one !== waiting && one.place !== null) : []
      if (isParked) return
      const after_ms = Math.round(clock.monotonicMs() - waiting.sinceMs)
      log.info({ receipts: backlog.count, after_ms }, 'posting works again')
    },
  }
}

const viewOf = ({ count, bytes, oldestMs }: Backlog) => ({ count, bytes, oldestMs })

const POSTED = Promise.resolve('posted' as const)
const DEFERRED = Promise.resolve('deferred' as const)

/** One receipt's way: whoever waits hears of its end directly. */
function makeTicket({ on }: PosterOptions, breaker: { readonly isOpen: boolean }, waits: Waits) {
  const outcome = Promise.withResolvers<PostOutcome>()
  let isOver = false
  let ended: (() => void) | null = null
  const start = (): Promise<'posted' | 'deferred'> =>
    new Promise((resolve) => {
      const done = waits.add(() => {
        resolve('deferred')
      })
      ended = () => {
        done()
        resolve('posted')
      }
    })
  let waiting: Promise<'posted' | 'deferred'> | null = null
  return {
    outcome: outcome.promise,
    resolve: (result: PostOutcome): void => {
      isOver = true
      outcome.resolve(result)
      ended?.()
    },
    wait(): Promise<'posted' | 'deferred'> {
      if (isOver) return POSTED
      if (breaker.isOpen) {
        on?.deferred?.()
        return DEFERRED
      }
      return (waiting ??= start())
    },
  }
}

interface BatchSteps extends PosterOptions {
  /** The batch was not posted, for no fault of a row of it. */
  failed(batch: readonly Waiting[]): void
  settle(waiting: Waiting, outcome: PostOutcome): void
  requeue(waiting: Waiting): void
  closeBreaker(): void
}

async function tryOnce(steps: BatchSteps, batch: readonly Waiting[]): Promise<unknown> {
  const { ledger, clock, on } = steps
  const startedMs = clock.monotonicMs()
  try {
    const items = batch.map(({ item }) => item)
    const outcomes = await ledger.post(items, clock.now())
    on?.batch?.(batch.length, clock.monotonicMs() - startedMs)
    steps.closeBreaker()
    batch.forEach((waiting, i) => {
      const outcome = outcomes[i]
      if (outcome === undefined) throw new Error('post answered too few outcomes')
      steps.settle(waiting, outcome)
    })
    return null
  } catch (error) {
    on?.failed?.(faultOf(error))
    return error
  }
}

/** Posts a batch, by whatever it takes. Never rejects. */
async function post(steps: BatchSteps, batch: readonly Waiting[]): Promise<void> {
  const { clock, log } = steps
  let backoffMs = limits.POST_RETRY_MS_MIN
  let strangeTries = 0
  for (;;) {
    const error = await tryOnce(steps, batch)
    if (error === null) return
    const fault = faultOf(error)
    if (fault === 'strange') strangeTries += 1
    if (fault !== 'row') steps.failed(batch)
    log.warn({ fault, size: batch.length, error: describeError(error) }, 'posting failed')
    if (fault === 'row' || strangeTries >= limits.POST_STRANGE_TRIES_MAX) {
      await split(steps, batch, fault, error)
      return
    }
    await sleep(clock, backoffMs)
    backoffMs = Math.min(backoffMs * 2, limits.POST_RETRY_MS_MAX)
  }
}

/** Halves until the bad row stands alone, so that it stops nobody else. */
async function split(
  steps: BatchSteps,
  batch: readonly Waiting[],
  fault: PostFault,
  error: unknown,
): Promise<void> {
  const [first] = batch
  if (first !== undefined && batch.length === 1) {
    await giveUpOn(steps, first, fault, error)
    return
  }
  const middle = Math.ceil(batch.length / 2)
  await post(steps, batch.slice(0, middle))
  await post(steps, batch.slice(middle))
}

async function giveUpOn(
  steps: BatchSteps,
  waiting: Waiting,
  fault: PostFault,
  error: unknown,
): Promise<void> {
  const { ledger, clock, log, on } = steps
  const { holdId } = waiting.item.receipt
  if (fault === 'row') {
    try {
      const reason = describeError(error)
      const outcome = await ledger.park(waiting.item, reason, clock.now())
      log.error({ holdId, error: reason }, 'a receipt cannot be posted; parked as a finding')
      on?.parked?.()
      steps.settle(waiting, outcome)
      return
    } catch (parkError) {
      log.error({ holdId, error: describeError(parkError) }, 'parking a receipt failed')
    }
  }
  // What is settled is never dropped: it comes again, behind the others.
  clock.after(limits.POST_RETRY_MS_MAX, () => {
    steps.requeue(waiting)
  })
}
