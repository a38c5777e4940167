/** Does what is claimed from a queue, some at once: what hangs keeps one place, not the queue. */
export interface WorkPool {
  /** Takes what is due into free places, without waiting for it. To be called often. */
  tick(): Promise<void>
  /** Resolves when nothing is being worked on. */
  idle(): Promise<void>
  /** Works until nothing is due. */
  drain(): Promise<void>
}

export interface WorkPoolParts<Item> {
  /** Places. */
  readonly max: number
  readonly claim: (room: number) => Promise<readonly Item[]>
  /** Must not reject. */
  readonly work: (item: Item) => Promise<void>
}

export function makeWorkPool<Item>({ max, claim, work }: WorkPoolParts<Item>): WorkPool {
  const open = new Set<Promise<void>>()

  async function take(): Promise<number> {
    const room = max - open.size
    if (room <= 0) return 0
    const items = await claim(room)
    for (const item of items) {
      const going = work(item).finally(() => open.delete(going))
      open.add(going)
    }
    return items.length
  }

  return {
    async tick() {
      await take()
    },
    async idle() {
      while (open.size > 0) await Promise.all(open)
    },
    async drain() {
      for (;;) {
        const taken = await take()
        if (taken === 0 && open.size === 0) return
        if (open.size > 0) await Promise.race(open)
      }
    },
  }
}

/**
 * Pause before the next try after `attempts` failed ones, ms: doubles within the bounds. `random`,
 * even in [0, 1), spreads what failed together.
 */
export function backoffMs(
  attempts: number,
  random: number,
  bounds: { readonly minMs: number; readonly maxMs: number },
): number {
  const doubled = bounds.minMs * 2 ** Math.min(attempts - 1, 30)
  return Math.min(doubled, bounds.maxMs) * (0.75 + random / 2)
}
