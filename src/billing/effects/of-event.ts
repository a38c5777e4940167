import { STRIPE_GONE_TRIES } from '../../kernel/limits/stripe.ts'
import type { Db, Tx } from '../../store/db.ts'
import { readEvent } from '../event.ts'
import type { Findings } from '../findings.ts'
import type { ClaimedEvent } from '../inbox.ts'
import { whyIgnored } from '../webhook.ts'
import type { Effect } from '../worker.ts'
import type { Effects } from './effects.ts'
import { isMissing } from './gone.ts'
import { subjectOf } from './subject.ts'

/** Reads what an event names; what it answers is written with it, and says what became of it. */
export type Others = (
  event: Pick<ClaimedEvent, 'id' | 'type' | 'objectId'>,
) => Promise<((tx: Tx) => Promise<string>) | null>

/** Of drafts, which anybody may delete. */
const OF_DRAFTS = /^invoice\.(?:created|updated|synced|finalization_failed)$|\.deleted$/
/** Of money that came in: that it is nowhere is not to be had without a reason. */
const OF_MONEY = /^invoice\.paid$|\.async_payment_succeeded$|^checkout\.session\.completed$/

/** The very thing that an event is about is not at Stripe. */
const isGone = ({ objectId }: Pick<ClaimedEvent, 'objectId'>, error: unknown): boolean =>
  objectId !== null &&
  isMissing(error) &&
  error instanceof Error &&
  error.message.includes(objectId)

/**
 * What was a draft is gone for good. Else the thing may be of another account, whose key this is
 * not: it is looked for a few times more, and told.
 */
async function endGone(
  deps: EventEffectDeps,
  event: ClaimedEvent,
  finish: (tx: Tx, outcome: string) => Promise<void>,
): Promise<boolean> {
  const isDraft = OF_DRAFTS.test(event.type)
  if (!isDraft && event.attempts < STRIPE_GONE_TRIES) return false
  await deps.db.tx(async (tx) => {
    await finish(tx, 'Stripe has it no more')
    if (isDraft || deps.findings === undefined) return
    const severity = OF_MONEY.test(event.type) ? 'urgent' : 'review'
    const evidence = { event: event.id, type: event.type }
    const subject = event.objectId ?? event.id
    await deps.findings.note({ kind: 'stripe_object_gone', severity, subject, evidence }, tx)
  })
  return true
}

export interface EventEffectDeps {
  readonly db: Db
  readonly effects: Effects
  readonly mode: 'test' | 'live'
  /** Absent = nobody is told. */
  readonly findings?: Findings
  /** What others make of events that are not of money; null = none of theirs. */
  readonly others?: Others | undefined
}

/** What the inbox's worker does with an event: look at what it names, whatever it says of it. */
export function makeEventEffect(deps: EventEffectDeps): Effect {
  const { db, effects, mode } = deps
  return async (event, finish) => {
    const read = readEvent(event.payload)
    // Set to work again by hand, it is none of ours still.
    const ignored = read === null ? 'not an event' : whyIgnored(read, mode)
    if (ignored !== null) {
      await db.tx((tx) => finish(tx, ignored))
      return
    }
    const other = (await deps.others?.(event)) ?? null
    if (other !== null) {
      await db.tx(async (tx) => {
        await finish(tx, await other(tx))
      })
      return
    }
    try {
      await effects.look(subjectOf(event.type, event.objectId), finish)
    } catch (error) {
      if (!isGone(event, error) || !(await endGone(deps, event, finish))) throw error
    }
  }
}
