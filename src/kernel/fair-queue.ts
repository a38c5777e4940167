/** Waits in a line of its own for each owner; owners take turns. */
export interface FairQueue<Item> {
  add(owner: string, item: Item): void
  next(): Item | undefined
  remove(owner: string, item: Item): void
  /** All that wait, and none does any more. */
  empty(): Item[]
}

export function makeFairQueue<Item>(): FairQueue<Item> {
  const lines = new Map<string, Set<Item>>()
  return {
    add(owner, item) {
      const line = lines.get(owner)
      if (line === undefined) lines.set(owner, new Set([item]))
      else line.add(item)
    },
    next() {
      for (const [owner, line] of lines) {
        lines.delete(owner)
        for (const item of line) {
          line.delete(item)
          if (line.size > 0) lines.set(owner, line) // behind all the others
          return item
        }
      }
      return undefined
    },
    remove(owner, item) {
      const line = lines.get(owner)
      if (line?.delete(item) === true && line.size === 0) lines.delete(owner)
    },
    empty() {
      const all = Array.from(lines.values()).flatMap((line) => [...line])
      lines.clear()
      return all
    },
  }
}
