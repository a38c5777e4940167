import { makeUnderWay } from '../kernel/under-way.ts'

/** Requests of this process that are not ended: until then stores and upstreams are needed. */
export interface Running {
  /** One more; what it answers ends it, however often it is called: at the request's last write. */
  begin(): () => void
  readonly count: number
  /** Resolves when there is none. */
  idle(): Promise<void>
  /** Resolves when all that had begun before this call have ended, whatever begins after it. */
  earlierEnded(): Promise<void>
}

export function makeRunning(): Running {
  const all = makeUnderWay()
  let last = makeUnderWay() // began since the last call of `earlierEnded`
  let earlier: Promise<unknown> = Promise.resolve()
  return {
    begin() {
      const generation = last
      generation.begin()
      all.begin()
      let isEnded = false
      return () => {
        if (isEnded) return // a fault behind what ends it: both say so
        isEnded = true
        generation.end()
        all.end()
      }
    },
    get count() {
      return all.count
    },
    idle: () => all.over(),
    async earlierEnded() {
      earlier = Promise.all([earlier, last.over()])
      last = makeUnderWay()
      await earlier
    },
  }
}
