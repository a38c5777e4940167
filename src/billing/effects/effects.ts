import type { Reload } from '../../access/reload.ts'
import type { Clock } from '../../kernel/clock.ts'
import { describeError, type Log } from '../../kernel/log.ts'
import type { Tx } from '../../store/db.ts'
import type { BillingHooks } from '../hooks.ts'
import { lookAndWrite, type Look } from './look.ts'
import { lookAtCustomer } from './look-at-customer.ts'
import { makeLooks } from './looks.ts'
import { makePlanLooks, type PlanLooksDeps } from './looks-of-plans.ts'
import type { Subject } from './subject.ts'
import { targetOf, type Target } from './target.ts'
import { makeTurns } from './turns.ts'
import type { Written } from './write.ts'

export interface EffectsDeps extends PlanLooksDeps {
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

export function makeEffects(deps: EffectsDeps): Effects {
  const { db, reload, hooks, clock, log } = deps
  const looks = {
    ...makeLooks(deps),
    ...makePlanLooks(deps),
    customer: (id: string) => lookAtCustomer(deps, id),
  }
  const turns = makeTurns()
  const now = (): number => clock.now()

  const lookAt = (target: Target): Promise<Look<Written>> =>
    target.kind === 'payment'
      ? looks.payment(target.id, target.session)
      : looks[target.kind](target.id)

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
      const target = subject === null ? null : await targetOf(deps, subject)
      if (target === null) {
        await db.tx((tx) => also(tx, 'nothing to do'))
        return
      }
      const { kind, id } = target
      const look = async (): Promise<Look<Written>> => {
        const found = await lookAt(target)
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
