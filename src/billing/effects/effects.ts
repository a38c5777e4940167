import type { Reload } from '../../access/reload.ts'
import type { Clock } from '../../kernel/clock.ts'
import { describeError, type Log } from '../../kernel/log.ts'
import type { Tx } from '../../store/db.ts'
import type { BillingHooks } from '../hooks.ts'
import { lookAndWrite, type Look } from './look.ts'
import { makeEntitlementLooks } from './look-at-entitlements.ts'
import { makeCardLooks } from './look-at-customer.ts'
import { makeRechargeLooks, type RechargeLooksDeps } from './look-at-recharge.ts'
import { makeLooks, none } from './looks.ts'
import { makePlanLooks, type PlanLooksDeps } from './looks-of-plans.ts'
import type { Subject } from './subject.ts'
import { targetOf, type Target } from './target.ts'
import { makeTurns } from './turns.ts'
import { noteWarning } from './warnings.ts'
import type { Written } from './write.ts'

/**
 * What others make of a thing that is looked at: reads now, writes in the transaction of the look,
 * and answers the accounts that changed. null = nothing.
 */
export type Watch = (
  kind: string,
  id: string,
) => Promise<((tx: Tx, nowMs: number) => Promise<readonly string[]>) | null>

export interface EffectsDeps extends Omit<PlanLooksDeps, 'tell'>, RechargeLooksDeps {
  readonly watch?: Watch | undefined
  readonly reload: Reload
  readonly hooks: Pick<BillingHooks, 'usable' | 'notGranted' | 'recharged'>
  readonly clock: Clock
  readonly log: Log
}

/** Called in the transaction that writes what was found. */
export type Also = (tx: Tx, outcome: string) => Promise<void>

/** Looks at things of Stripe's as they are now, and brings ours to them. Source: design §7. */
export interface Effects {
  look(subject: Subject | null, also: Also): Promise<void>
}

/** The warning itself is all there is to note. */
const NO_LOOK: Look<Written> = { write: () => Promise.resolve(none('a payment is warned of')) }

/** A look, and what others make of the same thing. */
async function watched(
  watch: Watch | undefined,
  { kind, id }: Target,
  found: Look<Written>,
): Promise<Look<Written>> {
  const seen = (await watch?.(kind, id)) ?? null
  if (seen === null) return found
  return {
    async write(tx, nowMs) {
      const written = await found.write(tx, nowMs)
      const accounts = new Set([...written.accounts, ...(await seen(tx, nowMs))])
      return { ...written, accounts: [...accounts] }
    },
  }
}

async function reloadAll(
  { reload, log }: Pick<EffectsDeps, 'reload' | 'log'>,
  accounts: readonly string[],
): Promise<void> {
  for (const account of accounts) {
    await reload(account).catch((error: unknown) => {
      const fields = { account_id: account, error: describeError(error) }
      log.warn(fields, 'changed in Postgres, not yet loaded into the credit engine')
    })
  }
}

export function makeEffects(deps: EffectsDeps): Effects {
  const { db, hooks, clock } = deps
  const looks = {
    ...makeLooks(deps),
    ...makePlanLooks(deps),
    ...makeRechargeLooks(deps),
    ...makeCardLooks(deps),
    ...makeEntitlementLooks(deps),
  }
  const turns = makeTurns()
  const now = (): number => clock.now()

  function lookAt(target: Target): Promise<Look<Written>> {
    if (target.kind === 'payment') return looks.payment(target.id, target.session)
    if (target.kind === 'recharge') return looks.recharge(target.id, target.attempt)
    if (target.kind === 'warning') return Promise.resolve(NO_LOOK)
    return looks[target.kind](target.id)
  }

  /** What the subject itself says, beside what it is about. */
  async function noteTarget(tx: Tx, target: Target, nowMs: number): Promise<void> {
    await deps.findings.settle(target.judged ?? [], target.findings, tx)
    if (target.warning !== undefined) await noteWarning(tx, deps, target, target.warning, nowMs)
  }

  async function tell({ accounts, grantedOfMs, isStuck, recharge }: Written): Promise<void> {
    if (isStuck) hooks.notGranted()
    if (recharge !== undefined) hooks.recharged(recharge)
    await reloadAll(deps, accounts)
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
        const found = await watched(deps.watch, target, await lookAt(target))
        return {
          async write(tx, nowMs) {
            const result = await found.write(tx, nowMs)
            await noteTarget(tx, target, nowMs)
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
