import type { Entitle } from '../../access/plans/entitle.ts'
import type { Ids } from '../../kernel/ids.ts'
import type { Db } from '../../store/db.ts'
import { textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import type { Catalogue } from '../catalogue.ts'
import { checkoutRows, type Checkout } from '../checkout-rows.ts'
import type { Findings } from '../findings.ts'
import { renewPaid, saveMethod } from '../recharge/store.ts'
import type { Tell } from '../tell.ts'
import { checkoutStateOf, decideForeign, decideOwn, nothing, type Decision } from './decide.ts'
import type { PaymentFacts, SessionFacts } from './facts.ts'
import { noteEmail } from './email.ts'
import { keysOfPacks } from './keys.ts'
import type { Look } from './look.ts'
import type { Reader } from './read-payment.ts'
import { readSales, writePayment, type StoredSale, type Written } from './write.ts'

const sql = loadSql(new URL('../sql/', import.meta.url), ['account-of-customer'])

export interface LooksDeps {
  readonly db: Db
  readonly reader: Reader
  readonly catalogue: () => Catalogue
  readonly findings: Findings
  readonly ids: Ids
  /** What an account may do follows in the same transaction; absent = nothing does. */
  readonly entitle?: Entitle['entitle']
  /** Absent = nobody is told. */
  readonly tell?: Tell
}

export const none = (outcome: string): Written => ({
  outcome,
  accounts: [],
  grantedOfMs: null,
  isStuck: false,
})

/** What a payment is of: a session, and perhaps a checkout of ours behind it. */
interface Origin {
  readonly session: SessionFacts
  readonly checkout: Checkout | null
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

/** Whose customer it is; null = nobody's we know. */
export async function accountOfCustomer(db: Db, customer: string | null): Promise<string | null> {
  if (customer === null) return null
  const [row] = await db.query(sql['account-of-customer'], [customer])
  return row === undefined ? null : textOf(row, 'id')
}

async function originOf({ db, reader }: LooksDeps, sessionId: string): Promise<Origin> {
  const session = await reader.session(sessionId)
  const bySession = await checkoutRows.find(db, { sessionId })
  const id = session.checkoutId
  const checkout = bySession ?? (id === null ? null : await checkoutRows.find(db, { id }))
  // A row that knows its session is no other session's, whatever that one's metadata says.
  const isOther = checkout !== null && ![null, sessionId].includes(checkout.sessionId)
  return { session, checkout: isOther ? null : checkout }
}

/**
 * What was granted once stands, whatever would be decided today, and stays with its account; what
 * was not, such as a line whose price was not configured then, is added to it.
 */
export function withStored(stored: readonly StoredSale[], fresh: Decision): Decision {
  const [first] = stored
  if (first === undefined) return fresh
  const { accountId } = first
  if (fresh.accountId === null) {
    return { accountId, sales: stored, why: 'granted before', findings: [] }
  }
  return { ...fresh, accountId }
}

/** What a payment grants: what it granted before, and what its origin says. */
async function decide(deps: LooksDeps, origin: Origin, payment: PaymentFacts): Promise<Decision> {
  const { db, catalogue } = deps
  const stored = await readSales(db, payment.id)
  const { session, checkout } = origin
  const fresh =
    checkout === null
      ? decideForeign(
          await accountOfCustomer(db, session.customer),
          ...([session, payment, catalogue()] as const),
        )
      : decideOwn(checkout, session, payment)
  const decision = withStored(stored, fresh)
  return { ...decision, keys: keysOfPacks(decision.sales, catalogue()) }
}

/** The card of a page that a recharge had sent its customer to; null = none is to be kept. */
async function cardToKeep(
  { reader }: LooksDeps,
  { session, checkout }: Origin,
  payment: PaymentFacts | null,
): Promise<string | null> {
  const { paymentIntent, customer } = session
  if (checkout?.keepsCard !== true || payment?.isPaid !== true) return null
  return paymentIntent === null || customer === null
    ? null
    : reader.cardKept(paymentIntent, customer)
}

/** Writes a payment of a session, and what becomes of the checkout behind it. */
async function foundOf(
  deps: LooksDeps,
  origin: Origin,
  payment: PaymentFacts | null,
): Promise<Look<Written>> {
  const { session, checkout } = origin
  const decision =
    payment === null
      ? nothing(`session is ${session.status ?? '?'}`)
      : await decide(deps, origin, payment)
  const policy = deps.catalogue().policies.dispute
  const card = await cardToKeep(deps, origin, payment)
  return {
    async write(tx, nowMs) {
      const { email } = session
      const accountId = checkout?.accountId ?? decision.accountId
      if (session.status === 'complete') await noteEmail(tx, deps.ids, { accountId, email }, nowMs)
      const written =
        payment === null
          ? none(decision.why)
          : await writePayment(tx, { ...deps, policy }, payment, decision, nowMs)
      if (checkout !== null) {
        const { paymentIntent } = session
        const state = checkoutStateOf(session, payment, decision)
        const change = { id: checkout.id, sessionId: session.id, paymentIntent, ...state }
        await checkoutRows.change(tx, change, nowMs)
        if (state.state === 'granted') await renewPaid(tx, checkout, nowMs)
        if (card !== null && payment !== null) {
          await saveMethod(tx, checkout.accountId, card, payment.paidAtMs, nowMs)
        }
      }
      return written
    },
  }
}

/** What to read of each thing that money can be about, and what follows from it. */
export function makeLooks(deps: LooksDeps) {
  const { reader } = deps
  return {
    async payment(id: string, sessionId: string): Promise<Look<Written>> {
      const [origin, payment] = await Promise.all([originOf(deps, sessionId), reader.payment(id)])
      return foundOf(deps, origin, payment)
    },
    async session(id: string): Promise<Look<Written>> {
      const origin = await originOf(deps, id)
      return foundOf(deps, origin, freePayment(origin.session, deps.catalogue()))
    },
  }
}
