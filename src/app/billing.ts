import type { Reload } from '../access/reload.ts'
import type { Accounts } from '../access/accounts.ts'
import type { Entitle } from '../access/plans/entitle.ts'
import { makeCatalogue } from '../billing/catalogue.ts'
import { makeCheckouts, type Checkouts } from '../billing/checkout.ts'
import { makeEnsureCustomer } from '../billing/customers.ts'
import { makeEffects, type Watch } from '../billing/effects/effects.ts'
import { makeEventEffect, type Others } from '../billing/effects/of-event.ts'
import { makeInvoiceReader } from '../billing/effects/read-invoice.ts'
import { makeReader } from '../billing/effects/read-payment.ts'
import type { Hints } from '../billing/recharge/hints.ts'
import { makeRechargeReader } from '../billing/recharge/read.ts'
import { makeRecharges, type Recharges } from '../billing/recharge/recharges.ts'
import { makeFindings } from '../billing/findings.ts'
import { makeHealth, type Health } from '../billing/health/health.ts'
import type { BillingHooks } from '../billing/hooks.ts'
import { makeInbox, type Inbox } from '../billing/inbox.ts'
import { makeStripeSide, type StripeSide } from '../billing/books-side.ts'
import { makeRenewals } from '../billing/renewals.ts'
import { makeStripe } from '../billing/stripe.ts'
import { makeSync, type Sync } from '../billing/sync.ts'
import type { Tell } from '../billing/tell.ts'
import { makeInboxWorker } from '../billing/worker.ts'
import type { Config, Environment } from '../config.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import type { Log } from '../kernel/log.ts'
import type { WorkPool } from '../kernel/work-pool.ts'
import type { PostingLedgerOptions } from '../ledger/posting-ledger.ts'
import type { InboxState } from '../ops/billing-metrics.ts'
import type { Db } from '../store/db.ts'

type Alongside = NonNullable<PostingLedgerOptions['alongside']>

/** Everything that talks to Stripe; null where no key is set. */
export interface Billing {
  readonly inbox: Inbox
  readonly worker: WorkPool
  readonly sync: Sync
  readonly checkouts: Checkouts
  /** What reconciliation asks of Stripe. */
  readonly books: StripeSide
  readonly recharges: Recharges
  /** Reads subscriptions again whose period has passed without news. */
  readonly renewals: () => Promise<number>
  readonly health: Health
  /** Resolves when nothing is being worked on. */
  idle(): Promise<void>
  /** Where customers come back to who named nothing else; null = nowhere. */
  returnUrl(): string | null
  /** What is for sale from now on. */
  configure(config: Config): void
}

/** Lets recharges know whom posting charged; nothing is written. */
export const noteCharged = (hints: Hints): { readonly alongside: Alongside } => ({
  alongside(postings) {
    for (const { receipt, deltaMicros } of postings) {
      if (deltaMicros > 0) hints.note(receipt.accountId)
    }
    return []
  },
})

/** The inbox's backlog as metrics show it. */
export async function inboxState({ inbox }: Billing, clock: Clock): Promise<InboxState> {
  const { pending, dead, oldestMs } = await inbox.backlog()
  const ageMs = oldestMs === null ? 0 : Math.max(0, clock.now() - oldestMs)
  return { pending, dead, oldestMs: ageMs }
}

export interface BillingParts {
  readonly environment: Pick<Environment, 'stripe' | 'mode'>
  readonly config: Config
  readonly db: Db
  readonly accounts: Accounts
  readonly reload: Reload
  /** Absent = what is bought changes credits only. */
  readonly entitle?: Entitle
  readonly hooks: BillingHooks
  readonly tell: Tell
  readonly hints: Hints
  /** What others make of what is looked at, and of events that are not of money. */
  readonly watch?: Watch
  readonly others?: Others
  readonly clock: Clock
  readonly ids: Ids
  readonly log: Log
}

const nothingFollows = (): Promise<boolean> => Promise.resolve(false)

export function makeBilling(parts: BillingParts): Billing | null {
  const { environment, db, clock, ids, log } = parts
  if (environment.stripe === null) return null
  const stripe = makeStripe(environment.stripe)
  const inbox = makeInbox({ db, ids })
  const findings = makeFindings({ db, ids, clock })
  const health = makeHealth({ db, findings, hooks: parts.hooks, clock })
  const { hooks } = health
  let { config } = parts
  let catalogue = makeCatalogue(config)
  const reader = makeReader(stripe)
  const invoices = makeInvoiceReader(stripe)
  const rechargeReader = makeRechargeReader(stripe)
  const readers = { reader, invoices, recharges: rechargeReader, catalogue: () => catalogue }
  const entitle = parts.entitle?.entitle ?? nothingFollows
  const effects = makeEffects({ ...parts, ...readers, hooks, findings, entitle })
  const side = { ...parts, ...readers, stripe, findings, effects, entitle: nothingFollows }
  const { mode } = environment
  const ensureCustomer = makeEnsureCustomer({ ...parts, stripe })
  const checkouts = makeCheckouts({
    ...parts,
    ...{ stripe, ensureCustomer, effects, catalogue: () => catalogue },
  })
  const worker = makeInboxWorker({
    inbox,
    effect: makeEventEffect({ db, effects, mode, findings, others: parts.others }),
    findings,
    hooks,
    clock,
    random: Math.random,
    log,
  })
  const recharges = makeRecharges({
    ...{ ...parts, findings, stripe, effects, checkouts, ensureCustomer, reader: rechargeReader },
    ...{ catalogue: () => catalogue, random: Math.random },
  })
  return {
    inbox,
    worker,
    checkouts,
    books: makeStripeSide(side),
    recharges,
    renewals: makeRenewals({ db, effects, clock, log }),
    health,
    sync: makeSync({ stripe, inbox, mode, clock }),
    async idle() {
      await worker.idle()
      await recharges.idle()
    },
    returnUrl: () => config.top_up_url,
    configure(next) {
      config = next
      catalogue = makeCatalogue(next)
    },
  }
}
