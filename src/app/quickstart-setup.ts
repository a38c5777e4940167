import { NO_LIMITS } from '../access/rows.ts'
import { hashSecret } from '../access/secrets.ts'
import type { App } from '../app.ts'
import { systemClock } from '../kernel/clock.ts'
import { QUICKSTART_MICROS } from '../kernel/limits/processes.ts'
import { micros, ZERO } from '../kernel/money.ts'
import { textOf } from '../store/rows.ts'
import type { QuickstartSetup } from './quickstart.ts'

/** More customers than a quickstart makes; the rest cannot buy until they are new. */
const CUSTOMERS_MAX = 1_000

/** Quickstart through the same doors as the admin API. */
export function quickstartSetup(app: App): QuickstartSetup {
  const { accounts, keys, books, reload, stores } = app.core
  const actor = 'quickstart'
  return {
    accountExists: async (id) => (await accounts.read(id)) !== null,
    createAccount: async (id, name) => {
      await accounts.create({
        id,
        name,
        subjectRef: null,
        email: null,
        stripeCustomerId: null,
        creditLimitMicros: ZERO,
        overageLimitMicros: ZERO,
        markup: null,
        actor,
      })
    },
    grantPromo: async (accountId) => {
      const grant = {
        accountId,
        micros: micros(QUICKSTART_MICROS),
        kind: 'promo' as const,
        priority: 100,
        effectiveAtMs: null,
        expiresAtMs: null,
        reason: 'quickstart credits',
        referenceType: 'grant',
        referenceId: 'quickstart',
      }
      await books.grant(grant, systemClock.now())
      await reload(accountId)
    },
    keyWorks: async (secret, accountId) => {
      const found = await stores.db.query(
        "SELECT 1 FROM api_keys WHERE hash = $1 AND account_id = $2 AND status = 'active'",
        [hashSecret(secret), accountId],
      )
      return found.length === 1
    },
    createKey: async (accountId) => {
      const limits = { ...NO_LIMITS, name: 'quickstart' }
      const created = await keys.create({ id: null, accountId, limits, actor })
      const secret = created?.secret ?? null
      if (secret === null) throw new Error(`no key could be made for ${accountId}`)
      return secret
    },
  }
}

/** The customers that an earlier demo gave to accounts; a demo's Stripe forgets them. */
export async function customersOf({ core }: App): Promise<string[]> {
  const rows = await core.stores.db.query(
    'SELECT stripe_customer_id FROM accounts WHERE stripe_customer_id IS NOT NULL LIMIT $1',
    [CUSTOMERS_MAX],
  )
  return rows.map((row) => textOf(row, 'stripe_customer_id'))
}
