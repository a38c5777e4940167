import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import { HealthError, makeHealth, type Health } from '../ops/health.ts'
import type { Core } from './credits.ts'
import type { Stores } from './stores.ts'

/** When a balancer may send requests here. Source: design §3, §8. */
export function makeReadiness(parts: {
  readonly stores: Stores
  readonly core: Core
  readonly state: { readonly draining: boolean }
  readonly clock: Clock
  readonly log: Log
}): Health {
  const { stores, core, state, clock, log } = parts
  return makeHealth({
    clock,
    log,
    checks: [
      {
        name: 'accepting',
        needed: 'always',
        run: () => {
          if (state.draining) throw new HealthError('stopping')
        },
      },
      {
        name: 'postgres',
        needed: 'once',
        run: async () => {
          await stores.db.query('SELECT 1')
        },
      },
      {
        name: 'credits',
        needed: 'always',
        run: async () => {
          await stores.engine.timeMs()
        },
      },
      {
        name: 'backlog',
        needed: 'always',
        run: () => {
          if (core.poster.full) throw new HealthError('too many charges wait for Postgres')
        },
      },
    ],
  })
}
