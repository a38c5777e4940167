import { runReplay } from '../../src/app/replay.ts'
import { silentLog } from '../../src/kernel/log.ts'
import type { ReplayReport } from '../../src/reconcile/replay/replay.ts'
import type { Db, Row, Tx } from '../../src/store/db.ts'
import { ids } from './support.ts'
import type { SimWorld } from './sim-world.ts'

type World = Pick<SimWorld, 'environment' | 'config' | 'clock'>

/** Replays a world's ledger as the command does. Its pauses pass at once, and nowhere else. */
export function replayOf(
  world: World,
  source: Db,
  target: Db,
  onPause: () => Promise<unknown> = () => Promise.resolve(),
): Promise<ReplayReport> {
  let waitedMs = 0
  const { environment, config, clock } = world
  return runReplay({
    ...{ environment, config, source, target, ids, log: silentLog },
    clock: { ...clock, now: () => clock.now() + waitedMs },
    async pause(ms) {
      waitedMs += ms
      await onPause()
    },
    progress: () => undefined,
  })
}

/** A database that breaks after so many statements, as a process that is killed there. */
export function breaking(db: Db, after: number): Db {
  let left = after
  const counted = (to: Tx): Tx['query'] => {
    return (sql, params) => {
      left -= 1
      if (left >= 0) return to.query(sql, params)
      const broken = Promise.reject<readonly Row[]>(new Error('killed'))
      broken.catch(() => undefined) // as a store's own: statements sent together fail together
      return broken
    }
  }
  return {
    ...db,
    query: counted(db),
    tx: (run, options) => db.tx((tx) => run({ query: counted(tx) }), options),
  }
}
