import { makeUnderWay } from '../kernel/under-way.ts'

/** Requests of this process that are not ended: until then stores and upstreams are needed. */
export interface Running {
  /** One more; call what it answers once, when the request's last write is done. */
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
      return () => {
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
