import type { Db, Tx } from '../../store/db.ts'
import { readEvent } from '../event.ts'
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

/** The event says that a thing was deleted, as drafts can be, and that very thing is gone. */
const isOfTheGone = (
  { type, objectId }: Pick<ClaimedEvent, 'type' | 'objectId'>,
  error: unknown,
): boolean =>
  type.endsWith('.deleted') && objectId !== null && isMissing(error) && isAbout(error, objectId)

const isAbout = (error: unknown, objectId: string): boolean =>
  error instanceof Error && error.message.includes(objectId)

/** What the inbox's worker does with an event: look at what it names, whatever it says of it. */
export function makeEventEffect(deps: {
  readonly db: Db
  readonly effects: Effects
  readonly mode: 'test' | 'live'
  /** What others make of events that are not of money; null = none of theirs. */
  readonly others?: Others | undefined
}): Effect {
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
      if (!isOfTheGone(event, error)) throw error
      await db.tx((tx) => finish(tx, 'deleted, and gone from Stripe'))
    }
  }
}
