/**
 * Lets work under one name run one after another in this process, in the order in which it came.
 * Source: CONTRIBUTING.md (each turn is owned by who waits for it).
 */
export type Turns = <T>(name: string, work: () => Promise<T>) => Promise<T>

export function makeTurns(): Turns {
  const last = new Map<string, Promise<unknown>>()
  return async (name, work) => {
    const before = last.get(name) ?? Promise.resolve()
    const turn = before.then(work, work)
    last.set(name, turn)
    try {
      return await turn
    } finally {
      if (last.get(name) === turn) last.delete(name)
    }
  }
}
