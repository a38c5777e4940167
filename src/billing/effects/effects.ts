import type { Clock } from '../../kernel/clock.ts'
import type { Ids } from '../../kernel/ids.ts'
import { describeError, type Log } from '../../kernel/log.ts'
import type { Db, Tx } from '../../store/db.ts'
import { textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import type { Reload } from '../../access/reload.ts'
import type { Catalogue } from '../catalogue.ts'
import { checkoutRows, type Checkout } from '../checkout-rows.ts'
import type { Finding, Findings } from '../findings.ts'
import type { BillingHooks } from '../hooks.ts'
import { checkoutStateOf, decideForeign, decideOwn, nothing, type Decision } from './decide.ts'
import type { PaymentFacts, SessionFacts } from './facts.ts'
import { lookAndWrite, type Look } from './look.ts'
import type { Reader } from './read-payment.ts'
import type { Subject } from './subject.ts'
import { readSales, writePayment, type Written } from './write.ts'

const sql = loadSql(new URL('../sql/', import.meta.url), ['account-of-customer'])

export interface EffectsDeps {
  readonly db: Db
  readonly reader: Reader
  readonly catalogue: () => Catalogue
  readonly findings: Findings
  readonly reload: Reload
  readonly hooks: Pick<BillingHooks, 'usable' | 'notGranted'>
  readonly ids: Ids
  readonly clock: Clock
  readonly log: Log
}

/** Called in the transaction that writes what was found. */
export type Also = (tx: Tx, outcome: string) => Promise<void>

/** Looks at things of Stripe's as they are now, and brings ours to them. Source: design §7. */
export interface Effects {
  look(subject: Subject | null, also: Also): Promise<void>
}

const none = (outcome: string): Written => ({
  outcome,
  accounts: [],
  grantedOfMs: null,
  isStuck: false,
})

/** What a payment is of: a session, and perhaps a checkout of ours behind it. */
interface Origin {
  readonly session: SessionFacts
  readonly checkout: Checkout | null
  readonly accountId: string | null
}

function makeLooks(deps: EffectsDeps) {
  const { db, reader, catalogue, findings, ids } = deps

  async function originOf(sessionId: string): Promise<Origin> {
    const session = await reader.session(sessionId)
    const bySession = await checkoutRows.find(db, { sessionId })
    const id = session.checkoutId
    const checkout = bySession ?? (id === null ? null : await checkoutRows.find(db, { id }))
    // A row that knows its session is no other session's, whatever that one's metadata says.
    const isOther = checkout !== null && ![null, sessionId].includes(checkout.sessionId)
    return { session, checkout: isOther ? null : checkout, accountId: await accountOf(session) }
  }

  async function accountOf({ customer }: SessionFacts): Promise<string | null> {
    if (customer === null) return null
    const [row] = await db.query(sql['account-of-customer'], [customer])
    return row === undefined ? null : textOf(row, 'id')
  }

  /** What was granted once stands; else what the origin says. */
  async function decide(origin: Origin, payment: PaymentFacts): Promise<Decision> {
    const [first, ...rest] = await readSales(db, payment.id)
    if (first !== undefined) {
      const sales = [first, ...rest]
      return { accountId: first.accountId, sales, why: 'granted before', findings: [] }
    }
    const { session, checkout, accountId } = origin
    return checkout === null
      ? decideForeign(accountId, session, payment, catalogue())
      : decideOwn(checkout, session, payment)
  }

  /** Writes a payment of a session, and what becomes of the checkout behind it. */
  async function found(origin: Origin, payment: PaymentFacts | null): Promise<Look<Written>> {
    const { session, checkout } = origin
    const decision =
      payment === null
        ? nothing(`session is ${session.status ?? '?'}`)
        : await decide(origin, payment)
    const policy = catalogue().policies.dispute
    return {
      async write(tx, nowMs) {
        const written =
          payment === null
            ? none(decision.why)
            : await writePayment(tx, { findings, ids, policy }, payment, decision, nowMs)
        if (checkout !== null) {
          const { paymentIntent } = session
          const state = checkoutStateOf(session, payment, decision)
          const change = { id: checkout.id, sessionId: session.id, paymentIntent, ...state }
          await checkoutRows.change(tx, change, nowMs)
        }
        return written
      },
    }
  }

  return {
    async payment(id: string): Promise<Look<Written>> {
      const row = await checkoutRows.find(db, { paymentIntent: id })
      const sessionId = row?.sessionId ?? (await reader.sessionOf(id))
      if (sessionId === null) return { write: () => Promise.resolve(none('not ours')) }
      const [origin, payment] = await Promise.all([originOf(sessionId), reader.payment(id)])
      return found(origin, payment)
    },
    async session(id: string): Promise<Look<Written>> {
      const origin = await originOf(id)
      return found(origin, freePayment(origin.session, catalogue()))
    },
  }
}

/** A checkout that cost nothing has no payment; by policy it stands for one. */
function freePayment(session: SessionFacts, { policies }: Catalogue): PaymentFacts | null {
  const isFree = session.mode === 'payment' && session.paymentStatus === 'no_payment_required'
  if (!isFree || session.status !== 'complete') return null
  return {
    id: session.id,
    status: 'no_payment_required',
    isPaid: policies.zero_checkout === 'grant',
    currency: session.currency ?? '',
    paid: 0,
    paidAtMs: session.createdMs,
    refunded: 0,
    withdrawn: 0,
    disputes: [],
  }
}

/** What to look at in the end, and what the subject itself says beside it. */
interface Target {
  readonly kind: 'payment' | 'session'
  readonly id: string
  readonly findings: readonly Finding[]
}

async function warningOf(reader: Reader, id: string): Promise<Target | null> {
  const { payment, actionable } = await reader.warning(id)
  if (payment === null) return null
  const finding = {
    kind: 'stripe_early_fraud_warning',
    severity: 'review',
    subject: id,
    evidence: { payment, actionable },
  } as const
  return { kind: 'payment', id: payment, findings: [finding] }
}

async function targetOf(reader: Reader, subject: Subject): Promise<Target | null> {
  const payment = (id: string | null): Target | null =>
    id === null ? null : { kind: 'payment', id, findings: [] }
  switch (subject.kind) {
    case 'payment':
      return payment(subject.id)
    case 'charge':
      return payment(await reader.paymentOfCharge(subject.id))
    case 'refund':
      return payment(await reader.paymentOfRefund(subject.id))
    case 'dispute':
      return payment(await reader.paymentOfDispute(subject.id))
    case 'warning':
      return warningOf(reader, subject.id)
    case 'session': {
      const { paymentIntent } = await reader.session(subject.id)
      return payment(paymentIntent) ?? { kind: 'session', id: subject.id, findings: [] }
    }
    case 'invoice':
    case 'subscription':
    case 'credit_note':
      return null
  }
}

export function makeEffects(deps: EffectsDeps): Effects {
  const { db, reader, reload, hooks, clock, log } = deps
  const looks = makeLooks(deps)
  const now = (): number => clock.now()

  async function tell({ accounts, grantedOfMs, isStuck }: Written): Promise<void> {
    if (isStuck) hooks.notGranted()
    for (const account of accounts) {
      await reload(account).catch((error: unknown) => {
        const fields = { account_id: account, error: describeError(error) }
        log.warn(fields, 'changed in Postgres, not yet loaded into the credit engine')
      })
    }
    if (grantedOfMs !== null) hooks.usable(now() - grantedOfMs)
  }

  return {
    async look(subject, also) {
      const target = subject === null ? null : await targetOf(reader, subject)
      if (target === null) {
        await db.tx((tx) => also(tx, 'nothing to do'))
        return
      }
      const { kind, id } = target
      const written = await lookAndWrite({ db, now }, `${kind}:${id}`, async () => {
        const look = await looks[kind](id)
        return {
          async write(tx, nowMs) {
            const result = await look.write(tx, nowMs)
            for (const finding of target.findings) await deps.findings.note(finding, tx)
            await also(tx, result.outcome)
            return result
          },
        }
      })
      await tell(written)
    },
  }
}
