import type { Effects } from '../../billing/effects/effects.ts'
import type { Subject } from '../../billing/effects/subject.ts'
import type { Target } from '../../billing/effects/target.ts'
import type { Walk, WalkPage } from '../../billing/walk.ts'
import {
  REPLAY_LOOKS_AT_ONCE_MAX,
  REPLAY_RETRY_MS_MIN,
  REPLAY_TRIES_MAX,
} from '../../kernel/limits/replay.ts'
import type { Tx } from '../../store/db.ts'
import { loadSql } from '../../store/sql.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['looked-since'])

export interface WalkDeps {
  readonly target: Tx
  readonly walk: Walk
  /** Of the target. */
  readonly effects: Effects
  /** Where the money that a subject is about is looked at; null = it is none of ours. */
  readonly targetOf: (subject: Subject) => Promise<Target | null>
  readonly pause: (ms: number) => Promise<void>
  readonly progress: (text: string) => void
}

export interface Walked {
  /** Things of Stripe's that were passed. */
  readonly seen: number
  /** Of those, the ones that no stored event had led to. */
  readonly looked: number
}

/** Calls again what failed: a limit of Stripe's, a connection. Throws what the last try threw. */
export async function patiently<T>(
  { pause }: Pick<WalkDeps, 'pause'>,
  call: () => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await call()
    } catch (error) {
      if (tries === REPLAY_TRIES_MAX) throw error
      await pause(REPLAY_RETRY_MS_MIN * 2 ** (tries - 1))
    }
  }
}

const NO_WRITE = (): Promise<void> => Promise.resolve()

export const lookAgain = (deps: WalkDeps, subject: Subject): Promise<void> =>
  patiently(deps, () => deps.effects.look(subject, NO_WRITE))

/** Looks at one thing, unless this run has looked at it. Answers whether it did. */
async function lookOnce(deps: WalkDeps, subject: Subject, sinceMs: number): Promise<boolean> {
  const wasLookedAt = async (names: readonly string[]): Promise<boolean> =>
    (await deps.target.query(sql['looked-since'], [names, new Date(sinceMs)])).length > 0
  const { kind, id } = subject
  const known = kind === 'payment' ? [`payment:${id}`, `recharge:${id}`] : [`${kind}:${id}`]
  if (await wasLookedAt(known)) return false
  const target = await patiently(deps, () => deps.targetOf(subject))
  // A payment of an invoice is looked at with its invoice, which has a walk of its own.
  if (target === null || (kind === 'payment' && target.kind === 'invoice')) return false
  if (await wasLookedAt([`${target.kind}:${target.id}`])) return false
  await lookAgain(deps, subject)
  return true
}

async function lookAtAll(
  deps: WalkDeps,
  subjects: readonly Subject[],
  sinceMs: number,
): Promise<number> {
  const waiting = subjects.values()
  let looked = 0
  async function lane(): Promise<void> {
    for (const subject of waiting) if (await lookOnce(deps, subject, sinceMs)) looked += 1
  }
  await Promise.all(Array.from({ length: REPLAY_LOOKS_AT_ONCE_MAX }, lane))
  return looked
}

type Page = (after: string | null) => Promise<WalkPage<{ readonly id: string }>>

/**
 * Passes everything of Stripe's that moved money or gives access, a page at a time, and looks at
 * what no event has led to since `sinceMs`: events get lost, objects do not. Source: design §7.
 */
export async function walkAll(deps: WalkDeps, sinceMs: number): Promise<Walked> {
  const { walk, progress } = deps
  const walks: readonly (readonly [Subject['kind'], Page])[] = [
    ['payment', (after) => walk.payments(after, null)],
    ['invoice', (after) => walk.invoices(after, null)],
    ['session', (after) => walk.freeSessions(after, null)],
    ['subscription', (after) => walk.subscriptions(after)],
  ]
  let [seen, looked] = [0, 0]
  for (const [kind, list] of walks) {
    let after: string | null = null
    do {
      const from: string | null = after
      const page: WalkPage<{ readonly id: string }> = await patiently(deps, () => list(from))
      const subjects = page.items.map(({ id }) => ({ kind, id }))
      looked += await lookAtAll(deps, subjects, sinceMs)
      seen += page.items.length
      after = page.next
      progress(`${seen} things at Stripe, ${looked} that no event told of (${kind})`)
    } while (after !== null)
  }
  return { seen, looked }
}
