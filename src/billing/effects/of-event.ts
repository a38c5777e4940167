import type { Db } from '../../store/db.ts'
import { readEvent } from '../event.ts'
import { whyIgnored } from '../webhook.ts'
import type { Effect } from '../worker.ts'
import type { Effects } from './effects.ts'
import { subjectOf } from './subject.ts'

/** What the inbox's worker does with an event: look at what it names, whatever it says of it. */
export function makeEventEffect(deps: {
  readonly db: Db
  readonly effects: Effects
  readonly mode: 'test' | 'live'
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
    await effects.look(subjectOf(event.type, event.objectId), finish)
  }
}
