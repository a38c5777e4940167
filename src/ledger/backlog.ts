import type { Clock } from '../kernel/clock.ts'
import * as limits from '../kernel/limits/posting.ts'
import { makeLine, type Place } from '../kernel/line.ts'
import type { PostItem, PostOutcome } from './receipt.ts'

/** A receipt until it is posted or parked. */
export interface Waiting {
  readonly item: PostItem
  readonly bytes: number
  /** Monotonic ms. */
  readonly sinceMs: number
  readonly resolve: (outcome: PostOutcome) => void
  place: Place<Waiting> | null
}

/** All receipts not yet in Postgres, and in which order they are taken. */
export interface Backlog {
  readonly count: number
  readonly bytes: number
  /** Age of the oldest, ms; 0 when there is none. */
  readonly oldestMs: number
  readonly hasQueued: boolean
  readonly isFull: boolean
  add(item: PostItem, resolve: (outcome: PostOutcome) => void): void
  /** Takes the next batch off the queue; its receipts stay counted until `done`. */
  take(): Waiting[]
  /** Puts one back at the end. */
  requeue(waiting: Waiting): void
  done(waiting: Waiting): void
}

/** First in, first out; taking from the front costs nothing. */
function makeQueue(batchMax: number) {
  let queue: Waiting[] = []
  let head = 0
  return {
    get isEmpty() {
      return head >= queue.length
    },
    push(waiting: Waiting): void {
      queue.push(waiting)
    },
    take(): Waiting[] {
      let size = 0
      let end = head
      while (end < queue.length && end - head < batchMax) {
        size += queue[end]?.bytes ?? 0
        if (end > head && size > limits.POST_BATCH_BYTES_MAX) break
        end += 1
      }
      const batch = queue.slice(head, end)
      head = end
      if (head * 2 > queue.length) {
        queue = queue.slice(head)
        head = 0
      }
      return batch
    },
  }
}

export function makeBacklog(clock: Clock, batchMax: number): Backlog {
  const all = makeLine<Waiting>()
  const queue = makeQueue(batchMax)
  let bytes = 0

  function oldestMs(): number {
    const oldest = all.first
    return oldest === null ? 0 : clock.monotonicMs() - oldest.sinceMs
  }

  return {
    get count() {
      return all.size
    },
    get bytes() {
      return bytes
    },
    get oldestMs() {
      return oldestMs()
    },
    get hasQueued() {
      return !queue.isEmpty
    },
    get isFull() {
      return (
        all.size >= limits.POST_BACKLOG_COUNT_MAX ||
        bytes >= limits.POST_BACKLOG_BYTES_MAX ||
        oldestMs() >= limits.POST_BACKLOG_AGE_MS_MAX
      )
    },
    add(item, resolve) {
      const size = limits.POST_RECEIPT_BYTES + (item.answer?.body?.length ?? 0)
      const sinceMs = clock.monotonicMs()
      const waiting: Waiting = { item, bytes: size, sinceMs, resolve, place: null }
      waiting.place = all.add(waiting)
      queue.push(waiting)
      bytes += size
    },
    take: () => queue.take(),
    requeue: (waiting) => {
      queue.push(waiting)
    },
    done(waiting) {
      if (waiting.place === null) return
      all.remove(waiting.place)
      waiting.place = null
      bytes -= waiting.bytes
    },
  }
}
