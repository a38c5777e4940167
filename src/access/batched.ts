import { KEY_LOOKUP_BATCH_MAX, KEY_LOOKUP_QUEUE_MAX } from '../kernel/limits/access.ts'

interface Waiting<Found> {
  readonly promise: Promise<Found | null>
  resolve(found: Found | null): void
  reject(error: unknown): void
}

/** Thrown when more names wait to be looked up than this process remembers: answer 503. */
class LookupQueueFullError extends Error {
  override readonly name = 'LookupQueueFullError'
}

/**
 * Looks names up: one statement at a time for all that wait, and once for each, however many
 * requests ask. So made-up names cost one connection at most, and one that became popular while it
 * was not cached costs one row. null = unknown. Rejects where `read` does.
 */
export function makeBatched<Found>(
  read: (names: readonly string[]) => Promise<ReadonlyMap<string, Found>>,
): (name: string) => Promise<Found | null> {
  const waiting = new Map<string, Waiting<Found>>()
  const asked = new Map<string, Waiting<Found>>()
  let running = false

  async function ask(batch: ReadonlyMap<string, Waiting<Found>>): Promise<void> {
    try {
      const found = await read([...batch.keys()])
      for (const [name, waiter] of batch) waiter.resolve(found.get(name) ?? null)
    } catch (error) {
      for (const waiter of batch.values()) waiter.reject(error)
    }
  }

  async function run(): Promise<void> {
    running = true
    while (waiting.size > 0) {
      for (const [name, waiter] of waiting) {
        if (asked.size >= KEY_LOOKUP_BATCH_MAX) break
        waiting.delete(name)
        asked.set(name, waiter)
      }
      await ask(asked)
      asked.clear()
    }
    running = false
  }

  return (name) => {
    const same = asked.get(name) ?? waiting.get(name)
    if (same !== undefined) return same.promise
    if (waiting.size >= KEY_LOOKUP_QUEUE_MAX) {
      return Promise.reject(new LookupQueueFullError('too many unknown names at once'))
    }
    const waiter: Waiting<Found> = Promise.withResolvers<Found | null>()
    waiting.set(name, waiter)
    // `ask` passes every failure to its waiters, so that the queue's own promise never rejects.
    if (!running) void run()
    return waiter.promise
  }
}
