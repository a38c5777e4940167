import { UnknownOutcomeError } from '../kernel/errors.ts'
import { StoreAwayError } from '../store/errors.ts'

/** More waits than this process keeps in memory: nothing was done, come again. */
export class GroupsFullError extends StoreAwayError {}

export interface GroupsParts<Item, Done> {
  /** Does all of a group in one transaction; answers in the group's order. */
  readonly write: (group: readonly Item[]) => Promise<readonly Done[]>
  readonly sizeOf: (item: Item) => number
  /** Items of one group, their size, and the size of all that may wait. */
  readonly most: { readonly items: number; readonly size: number; readonly waiting: number }
}

interface Waiter<Item, Done> {
  readonly item: Item
  readonly size: number
  resolve(done: Done): void
  reject(error: unknown): void
}

/** A store that is away is so for each of a group; anything else may be the fault of one. */
const isOfOne = (error: unknown): boolean =>
  !(error instanceof StoreAwayError) && !(error instanceof UnknownOutcomeError)

/**
 * Writes items in groups: while one is being written the next ones gather, so that a commit is paid
 * once for all that came meanwhile and nobody waits for a timer. Each item resolves after its own
 * group is committed. Where a group fails for a reason that one item may have brought, its items
 * are written one by one. Source: design §2 (group commit).
 */
export function makeGroups<Item, Done>(
  parts: GroupsParts<Item, Done>,
): (item: Item) => Promise<Done> {
  const { write, sizeOf, most } = parts
  const waiting: Waiter<Item, Done>[] = []
  let waitingSize = 0
  let running = false

  function nextGroup(): Waiter<Item, Done>[] {
    let size = 0
    let count = 0
    for (const waiter of waiting) {
      if (count === most.items || (count > 0 && size + waiter.size > most.size)) break
      size += waiter.size
      count += 1
    }
    waitingSize -= size
    return waiting.splice(0, count)
  }

  async function settle(group: readonly Waiter<Item, Done>[]): Promise<void> {
    try {
      const done = await write(group.map(({ item }) => item))
      for (const [at, waiter] of group.entries()) {
        const one = done[at]
        if (one === undefined) throw new Error('unreachable: a group answers for each item')
        waiter.resolve(one)
      }
    } catch (error) {
      if (group.length > 1 && isOfOne(error)) for (const one of group) await settle([one])
      else for (const waiter of group) waiter.reject(error)
    }
  }

  async function run(): Promise<void> {
    running = true
    while (waiting.length > 0) await settle(nextGroup())
    running = false
  }

  return (item) => {
    const size = sizeOf(item)
    if (waitingSize + size > most.waiting) {
      return Promise.reject(new GroupsFullError('too much waits to be stored'))
    }
    const { promise, resolve, reject } = Promise.withResolvers<Done>()
    waiting.push({ item, size, resolve, reject })
    waitingSize += size
    // `settle` passes every failure to its waiters, so that this promise never rejects.
    if (!running) void run()
    return promise
  }
}
