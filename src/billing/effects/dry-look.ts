import { PastCountError } from '../../kernel/invariant.ts'
import type { Db } from '../../store/db.ts'
import type { EffectsDeps } from './effects.ts'
import { makeRechargeLooks } from './look-at-recharge.ts'
import type { Look } from './look.ts'
import { makeLooks, none } from './looks.ts'
import { makePlanLooks } from './looks-of-plans.ts'
import type { Subject } from './subject.ts'
import { targetOf, type Target } from './target.ts'
import type { Written } from './write.ts'

/** What a look at a payment would change, were it written. */
export interface Difference {
  /** The payment or invoice that it is about in the end. */
  readonly id: string
  readonly outcome: string
  /** Something would be granted that is not. */
  readonly lacksGrant: boolean
  /** Something was paid that cannot be granted: a person has to look. */
  readonly isStuck: boolean
  /** Accounts whose ledger would move. Empty = the books agree. */
  readonly accounts: readonly string[]
  /** By how much, either way. null = it is not about credits. */
  readonly atStakeMicros: number | null
}

/** Looks as the inbox does and writes nothing. null = it is none of ours. */
export type DryLook = (subject: Subject) => Promise<Difference | null>

/** Carries what was found out of a transaction that must not be committed. */
class NotWrittenError extends Error {
  override readonly name = 'NotWrittenError'
  readonly written: Written
  constructor(written: Written) {
    super('rolled back as intended')
    this.written = written
  }
}

async function rolledBack(
  db: Db,
  write: (tx: Parameters<Parameters<Db['tx']>[0]>[0]) => Promise<Written>,
): Promise<Written> {
  try {
    return await db.tx(async (tx) => {
      throw new NotWrittenError(await write(tx))
    })
  } catch (error) {
    if (error instanceof NotWrittenError) return error.written
    throw error
  }
}

/** More than can be counted, or than the account has room for: nobody but a person can help. */
function pastCount(error: unknown): Written {
  if (!(error instanceof PastCountError)) throw error
  return { ...none(error.message), isStuck: true }
}

/**
 * Asks what an effect would do, with the effects themselves: they run in a transaction that is
 * rolled back. So reconciliation cannot judge otherwise than the inbox does. Source: design §6 (I3,
 * I5), §7.
 */
export function makeDryLook(deps: EffectsDeps): DryLook {
  const { db, clock } = deps
  const looks = { ...makeLooks(deps), ...makePlanLooks(deps), ...makeRechargeLooks(deps) }
  /** null = no money is about it. */
  function lookOf(target: Target): Promise<Look<Written>> | null {
    switch (target.kind) {
      case 'payment':
        return looks.payment(target.id, target.session)
      case 'recharge':
        return looks.recharge(target.id, target.attempt)
      case 'session':
      case 'invoice':
        return looks[target.kind](target.id)
      case 'subscription':
      case 'customer':
      case 'method':
      case 'setup':
      case 'entitlements':
      case 'warning':
      default:
        return null
    }
  }
  const lookAt = async (target: Target): Promise<Written | null> => {
    const found = await lookOf(target)
    return found && rolledBack(db, (tx) => found.write(tx, clock.now()))
  }
  return async (subject) => {
    const target = await targetOf(deps, subject)
    // A payment of an invoice is looked at with its invoice.
    if (target === null || (subject.kind === 'payment' && target.kind === 'invoice')) return null
    const looked = await lookAt(target).catch(pastCount)
    if (looked === null) return null
    const { movedMicros = 0, ...written } = looked
    const { outcome, grantedOfMs, isStuck, accounts } = written
    const atStakeMicros = movedMicros === 0 ? null : Math.abs(movedMicros)
    const lacksGrant = grantedOfMs !== null
    return { id: target.id, outcome, lacksGrant, isStuck, accounts, atStakeMicros }
  }
}
