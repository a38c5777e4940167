import { subjectOf } from '../../billing/effects/subject.ts'
import { readEvent, type IncomingEvent } from '../../billing/event.ts'
import type { Inbox } from '../../billing/inbox.ts'
import { whyIgnored } from '../../billing/webhook.ts'
import type { Clock } from '../../kernel/clock.ts'
import {
  REPLAY_EVENTS_PAGE_MAX,
  REPLAY_POLL_MS,
  REPLAY_STALL_MS,
  REPLAY_SUBJECTS_MAX,
} from '../../kernel/limits/replay.ts'
import type { WorkPool } from '../../kernel/work-pool.ts'
import type { Row, Tx } from '../../store/db.ts'
import { choiceOf, numberOf, orNull, textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import { writeMark, type Mark } from './begin.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['read-events'])

export interface EventsDeps {
  readonly source: Tx
  readonly target: Tx
  /** Of the target. */
  readonly inbox: Inbox
  readonly worker: Pick<WorkPool, 'drain'>
  readonly mode: 'test' | 'live'
  readonly clock: Clock
  /** Waits. An argument, so that a test's clock can move meanwhile. */
  readonly pause: (ms: number) => Promise<void>
  readonly progress: (text: string) => void
}

export interface Replayed {
  /** Stored events of the source that this run took over. */
  readonly stored: number
  /** Of those, the ones that named something to look at that none shortly before had named. */
  readonly looked: number
}

/** Names the last REPLAY_SUBJECTS_MAX things: several events about one come close together. */
function makeSeen() {
  const names = new Set<string>()
  return (name: string): boolean => {
    const isSeen = names.delete(name)
    names.add(name)
    if (names.size > REPLAY_SUBJECTS_MAX) {
      const [oldest] = names
      if (oldest !== undefined) names.delete(oldest)
    }
    return isSeen
  }
}

/** Works off what waits. What does not get done for long is left, and told as not finished. */
async function drain({ worker, inbox, clock, pause }: EventsDeps): Promise<void> {
  let [least, sinceMs] = [Infinity, clock.now()]
  for (;;) {
    await worker.drain()
    const { pending } = await inbox.backlog()
    if (pending === 0) return
    if (pending < least) [least, sinceMs] = [pending, clock.now()]
    else if (clock.now() - sinceMs > REPLAY_STALL_MS) return
    await pause(REPLAY_POLL_MS)
  }
}

/** Why an event is not worked on; null = it is. */
type Why = (event: IncomingEvent, row: Row) => string | null

function makeWhy(mode: 'test' | 'live'): Why {
  const seen = makeSeen()
  return (event, row) => {
    const why = orNull(row, 'outcome', textOf) ?? whyIgnored(event, mode)
    if (why !== null) return why
    const subject = subjectOf(event.type, event.objectId)
    if (subject === null) return 'nothing to look at'
    // A look sees all that ever happened to a thing: the second would find nothing.
    return seen(`${subject.kind}:${subject.id}`) ? 'named by an event before' : null
  }
}

/**
 * Puts the stored events into the target's inbox, page by page, and works them off with the worker
 * that the program itself has. Goes on from where an earlier run ended. Source: design §7.
 */
export async function replayEvents(deps: EventsDeps, from: Mark): Promise<Replayed> {
  const { source, target, inbox, clock, progress } = deps
  const whyNot = makeWhy(deps.mode)
  let [stored, looked, mark] = [0, 0, from]
  await drain(deps)
  for (;;) {
    const rows = await source.query(sql['read-events'], [mark.events, REPLAY_EVENTS_PAGE_MAX])
    for (const row of rows) {
      mark = { ...mark, events: numberOf(row, 'seq') }
      const payload = textOf(row, 'payload')
      const event = readEvent(payload)
      if (event === null) continue
      const ignored = whyNot(event, row)
      const from = choiceOf(row, 'source', ['webhook', 'sync'])
      await inbox.store({ event, payload, source: from, ignored }, clock.now())
      stored += 1
      if (ignored === null) looked += 1
    }
    await drain(deps)
    await writeMark(target, mark)
    if (rows.length < REPLAY_EVENTS_PAGE_MAX) return { stored, looked }
    progress(`${stored} events, ${looked} looks`)
  }
}
