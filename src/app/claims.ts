import type { FastifyInstance } from 'fastify'
import type { Accounts } from '../access/accounts.ts'
import type { Authenticator } from '../access/access.ts'
import { makeClaims, type ClaimSettings, type Claims } from '../access/claims/claims.ts'
import type { Reload } from '../access/reload.ts'
import type { Config, Environment } from '../config.ts'
import { DAY_MS, type Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import type { Log } from '../kernel/log.ts'
import {
  claimLinksPlugin,
  makeClaimLinksSurface,
  type ClaimLinksSurface,
} from '../portal/claim-links.ts'
import { claimPlugin } from '../portal/claims.ts'
import { PORTAL_PREFIX } from '../portal/plugin.ts'
import type { Db } from '../store/db.ts'

const settingsOf = ({ public_url: publicUrl, claims }: Config): ClaimSettings => ({
  publicUrl,
  linkMs: claims.link_days * DAY_MS,
})

/** Keys that are claimed, as the configuration in force has it. */
export interface ConfiguredClaims {
  readonly claims: Claims
  readonly publicUrl: () => string | null
  configure(config: Config): void
}

export function makeConfiguredClaims(parts: {
  readonly db: Db
  readonly environment: Pick<Environment, 'mode'>
  readonly config: Config
  readonly clock: Clock
  readonly ids: Ids
}): ConfiguredClaims {
  let settings = settingsOf(parts.config)
  const { mode } = parts.environment
  return {
    claims: makeClaims({ ...parts, mode, settings: () => settings }),
    publicUrl: () => settings.publicUrl,
    configure(config) {
      settings = settingsOf(config)
    },
  }
}

/** The pages of claims, and the route that makes links. Answers its surface. */
export function registerClaims(
  server: FastifyInstance,
  deps: {
    readonly claims: ConfiguredClaims
    readonly accounts: Accounts
    readonly authenticator: Authenticator
    readonly reload: Reload
    readonly clock: Clock
    readonly ids: Ids
    readonly log: Log
  },
): ClaimLinksSurface {
  const { claims, publicUrl } = deps.claims
  server.register(async (app) => {
    claimPlugin(app, { ...deps, claims, baseUrl: publicUrl })
    await Promise.resolve()
  })
  const linksDeps = { ...deps, claims }
  const surface = makeClaimLinksSurface(linksDeps)
  server.register(
    async (app) => {
      claimLinksPlugin(app, { surface, deps: linksDeps })
      await Promise.resolve()
    },
    { prefix: PORTAL_PREFIX },
  )
  return surface
}
