import type { Reload } from '../../access/reload.ts'
import type { Clock } from '../../kernel/clock.ts'
import { describeError, type Log } from '../../kernel/log.ts'
import type { Tx } from '../../store/db.ts'
import type { Finding } from '../findings.ts'
import type { BillingHooks } from '../hooks.ts'
import { lookAndWrite, type Look } from './look.ts'
import { makeLooks, type LooksDeps } from './looks.ts'
import type { Reader } from './read-payment.ts'
import type { Subject } from './subject.ts'
import { makeTurns } from './turns.ts'
import type { Written } from './write.ts'

export interface EffectsDeps extends LooksDeps {
  readonly reload: Reload
  readonly hooks: Pick<BillingHooks, 'usable' | 'notGranted'>
  readonly clock: Clock
  readonly log: Log
}

/** Called in the transaction that writes what was found. */
export type Also = (tx: Tx, outcome: string) => Promise<void>

/** Looks at things of Stripe's as they are now, and brings ours to them. Source: design §7. */
export interface Effects {
  look(subject: Subject | null, also: Also): Promise<void>
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
  const turns = makeTurns()
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
      const look = async (): Promise<Look<Written>> => {
        const found = await looks[kind](id)
        return {
          async write(tx, nowMs) {
            const result = await found.write(tx, nowMs)
            for (const finding of target.findings) await deps.findings.note(finding, tx)
            await also(tx, result.outcome)
            return result
          },
        }
      }
      const name = `${kind}:${id}`
      await tell(await turns(name, () => lookAndWrite({ db, now }, name, look)))
    },
  }
}
