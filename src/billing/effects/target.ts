import { checkoutRows } from '../checkout-rows.ts'
import type { Finding, Judged } from '../findings.ts'
import { findAttempt } from '../recharge/store.ts'
import type { RechargeLooksDeps } from './look-at-recharge.ts'
import { creditNoteFinding, type PlanLooksDeps } from './looks-of-plans.ts'
import type { Subject } from './subject.ts'
import type { WarningFacts } from './warnings.ts'

/** What to look at in the end, and what the subject itself says beside it. */
export type Target = {
  readonly id: string
  readonly findings: readonly Finding[]
  /** What was looked for at the subject; absent = nothing. */
  readonly judged?: readonly Judged[]
  /** Its payer may not be who it seems: nothing is charged by itself any more. */
  readonly warning?: WarningFacts
} & (
  | { readonly kind: 'payment'; readonly session: string }
  | { readonly kind: 'recharge'; readonly attempt: string }
  | {
      readonly kind:
        'session' | 'invoice' | 'subscription' | 'customer' | 'method' | 'setup' | 'entitlements'
    }
  /** Its payment is of nothing we know, and perhaps its payer is. */
  | { readonly kind: 'warning' }
)

export type TargetDeps = Pick<PlanLooksDeps, 'db' | 'reader' | 'invoices' | 'catalogue'> &
  Pick<RechargeLooksDeps, 'recharges'>

/** The attempt that a payment was made for, by our own row or by what the payment says. */
async function attemptOf({ db, recharges }: TargetDeps, payment: string): Promise<string | null> {
  const known = await findAttempt(db, { paymentIntent: payment })
  if (known !== null) return known.id
  const id = await recharges.attemptOf(payment)
  return id === null ? null : ((await findAttempt(db, { id }))?.id ?? null)
}

/** A payment is of a session, a recharge or an invoice; else it is none of ours: null. */
async function ofPayment(deps: TargetDeps, id: string | null): Promise<Target | null> {
  const { db, reader, invoices } = deps
  const findings: Finding[] = []
  if (id === null) return null
  const row = await checkoutRows.find(db, { paymentIntent: id })
  const session = row?.sessionId ?? (await reader.sessionOf(id))
  if (session !== null) return { kind: 'payment', id, findings, session }
  const attempt = await attemptOf(deps, id)
  if (attempt !== null) return { kind: 'recharge', id, findings, attempt }
  const invoice = await invoices.invoiceOf(id)
  return invoice === null ? null : { kind: 'invoice', id: invoice, findings }
}

async function ofSession(deps: TargetDeps, id: string): Promise<Target> {
  const { mode, paymentIntent, invoice } = await deps.reader.session(id)
  const findings: Finding[] = []
  const setup = mode === 'setup' ? await deps.recharges.setupOf(id) : null
  if (setup !== null) return { kind: 'setup', id: setup, findings }
  if (paymentIntent !== null) return { kind: 'payment', id: paymentIntent, session: id, findings }
  return invoice === null
    ? { kind: 'session', id, findings }
    : { kind: 'invoice', id: invoice, findings }
}

async function ofWarning(deps: TargetDeps, id: string): Promise<Target | null> {
  const warning = { id, ...(await deps.reader.warning(id)) }
  const target = await ofPayment(deps, warning.payment)
  if (deps.catalogue().policies.early_fraud_warning === 'ignore') return target
  return { ...(target ?? { kind: 'warning', id, findings: [] }), warning }
}

/** Where the money that a subject is about is to be looked at. null = it is none of ours. */
export async function targetOf(deps: TargetDeps, { kind, id }: Subject): Promise<Target | null> {
  const { reader, invoices } = deps
  switch (kind) {
    case 'payment':
      return ofPayment(deps, id)
    case 'charge':
      return ofPayment(deps, await reader.paymentOfCharge(id))
    case 'refund':
      return ofPayment(deps, await reader.paymentOfRefund(id))
    case 'dispute':
      return ofPayment(deps, await reader.paymentOfDispute(id))
    case 'warning':
      return ofWarning(deps, id)
    case 'session':
      return ofSession(deps, id)
    case 'invoice':
    case 'subscription':
    case 'customer':
    case 'method':
    case 'setup':
    case 'entitlements':
      return { kind, id, findings: [] }
    case 'credit_note': {
      const note = await invoices.creditNote(id)
      const isTold = deps.catalogue().policies.credit_note === 'finding'
      const findings = isTold ? creditNoteFinding(id, note) : []
      const judged = [{ kind: 'stripe_credit_note', subject: id }]
      return note.invoice === '' ? null : { kind: 'invoice', id: note.invoice, findings, judged }
    }
  }
}
