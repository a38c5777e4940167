import type { FastifyInstance } from 'fastify'
import { ENTITLEMENTS_TURN_MAX } from '../kernel/limits/access.ts'
import { loadTurned } from '../ledger/turn-each.ts'
import type { Loops } from '../ops/loops.ts'
import {
  ACCESS_PREFIX,
  accessPlugin,
  makeAccessSurface,
  type AccessDeps,
  type AccessSurface,
} from '../portal/access.ts'
import type { Core } from './credits.ts'

/** Access checks, and the passing of time. Answers the surface, for the documentation. */
export function registerAccess(
  server: FastifyInstance,
  deps: AccessDeps & Pick<Core, 'entitle'> & { readonly loops: Loops },
): AccessSurface {
  const { entitle, reload, clock } = deps
  const surface = makeAccessSurface(deps)
  server.register(
    async (app) => {
      accessPlugin(app, { surface, deps })
      await Promise.resolve()
    },
    { prefix: ACCESS_PREFIX },
  )
  deps.loops.start({
    name: 'entitlements',
    periodMs: 1_000,
    run: async () => {
      await loadTurned(await entitle.turn(clock.now(), ENTITLEMENTS_TURN_MAX), reload)
    },
  })
  return surface
}
