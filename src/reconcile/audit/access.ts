import type { APP_FIELDS, Reading } from './columns.ts'
import type { Oddities } from './tally.ts'
import { isEmptyPlan, isFreePlan, readAccess, readTime, type Access, type Words } from './values.ts'

/** What a row of the program says about access. */
export interface AccessSaid {
  readonly access: Access
  /** Why nobody can tell; '' = it is told. */
  readonly why: string
}

export type Cells = (field: keyof typeof APP_FIELDS) => string

export interface AppOptions {
  readonly words: Words
  readonly nowMs: number
}

const BLOCKED: AccessSaid = { access: 'blocked', why: '' }
const ACTIVE: AccessSaid = { access: 'active', why: '' }
const EMPTY_PLAN: AccessSaid = { access: 'unknown', why: 'its plan is empty' }
export const CONTRADICTORY = 'its rows say different things'

const unclear = (why: string): AccessSaid => ({ access: 'unknown', why })

function byAccess(word: string, words: Words, oddities: Oddities): AccessSaid {
  const access = readAccess(word, words)
  if (access !== 'unknown') return { access, why: '' }
  oddities.note('accounts with an unknown access word', word)
  return unclear(`"${word}" is no word for access that is known`)
}

/**
 * What the row's columns say together: each of them can take access away. What is not there or not
 * understood takes nothing away, and where nothing else tells, nobody can.
 */
export function accessOf(
  cells: Cells,
  columns: Reading<typeof APP_FIELDS>['columns'],
  { words, nowMs }: AppOptions,
  oddities: Oddities,
): AccessSaid {
  if (columns.blocked !== null && readAccess(cells('blocked'), words) === 'active') return BLOCKED
  const plan = columns.plan === null ? null : cells('plan')
  const hasPlan = plan !== null && !isEmptyPlan(plan, words)
  if (hasPlan && isFreePlan(plan, words)) return BLOCKED
  const until = cells('until')
  const untilMs = readTime(until)
  if (untilMs !== null && untilMs <= nowMs) return BLOCKED
  const isUnread = until !== '' && untilMs === null
  if (isUnread) oddities.note('accounts whose end of access is no time that can be read', until)
  if (columns.access !== null) return byAccess(cells('access'), words, oddities)
  if (isUnread) return unclear(`its end "${until}" is no time that can be read`)
  if (hasPlan || untilMs !== null) return ACTIVE
  if (plan !== null) return EMPTY_PLAN
  return columns.blocked === null ? BLOCKED : ACTIVE
}
