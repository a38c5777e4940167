import { z } from 'zod'
import { DAY_MS, type Clock } from '../kernel/clock.ts'
import { SUBJECT_CACHE_MAX, UNKNOWN_SUBJECT_MS } from '../kernel/limits/access.ts'
import { ZERO, type Micros } from '../kernel/money.ts'
import { grantWithin } from '../ledger/ledger-books.ts'
import type { Ids } from '../kernel/ids.ts'
import type { Tx } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'
import type { Accounts } from './accounts.ts'
import { makeBatched } from './batched.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['find-subjects'])

const subjectRow = z
  .object({
    subject_ref: z.string(),
    account_id: z.string(),
    markup: z.string().nullable(),
    status: z.enum(['active', 'frozen', 'suspended']),
    plan_models: z.array(z.string()).nullable(),
    plan_endpoints: z.array(z.string()).nullable(),
    account_seq: z.number(),
  })
  .transform((row) => ({
    ref: row.subject_ref,
    accountId: row.account_id,
    markup: row.markup,
    accountStatus: row.status,
    planModels: row.plan_models,
    planEndpoints: row.plan_endpoints,
    accountSeq: row.account_seq,
  }))

/** The account that a subject_ref names. */
export type Subject = z.infer<typeof subjectRow>

/** What happens where a backend key names a subject that nobody has. */
export interface SubjectSettings {
  readonly create: boolean
  /** Promo credits that a new account begins with, null = none; how long they last, null = on. */
  readonly starterMicros: Micros | null
  readonly starterDays: number | null
}

/** Who is meant by a backend key's `x-farebox-subject`. Source: design §1, §8. */
export interface Subjects {
  /** Without a promise where it is cached. null = unknown. Rejects while Postgres is away. */
  find(ref: string, actor: string): Subject | null | Promise<Subject | null>
  /** Drops what was read from another state of an account. */
  accountChanged(accountId: string, changeSeq: number): void
  /** What requests for an account are ruled by here, where it is cached. For checks. */
  cachedOf(accountId: string): Subject | null
}

export interface SubjectsDeps {
  readonly db: Tx
  readonly accounts: Accounts
  readonly clock: Clock
  readonly ids: Ids
  readonly settings: () => SubjectSettings
}

/** By subject and by account: least recently used out first. */
function makeCache() {
  const entries = new Map<string, Subject>()
  const byAccount = new Map<string, string>()
  const remove = (ref: string): void => {
    const entry = entries.get(ref)
    entries.delete(ref)
    if (entry !== undefined && byAccount.get(entry.accountId) === ref) {
      byAccount.delete(entry.accountId)
    }
  }
  return {
    get(ref: string): Subject | undefined {
      const entry = entries.get(ref)
      if (entry === undefined) return undefined
      entries.delete(ref) // set anew: a Map keeps its entries in the order of insertion
      entries.set(ref, entry)
      return entry
    },
    set(entry: Subject): void {
      remove(entry.ref)
      remove(byAccount.get(entry.accountId) ?? entry.ref)
      const oldest = entries.keys().next().value
      if (entries.size >= SUBJECT_CACHE_MAX && oldest !== undefined) remove(oldest)
      entries.set(entry.ref, entry)
      byAccount.set(entry.accountId, entry.ref)
    },
    accountChanged(accountId: string, changeSeq: number): void {
      const ref = byAccount.get(accountId)
      if (ref !== undefined && entries.get(ref)?.accountSeq !== changeSeq) remove(ref)
    },
    of: (accountId: string): Subject | null => entries.get(byAccount.get(accountId) ?? '') ?? null,
  }
}

/** Subjects that were found to be unknown, for a moment each. */
function makeUnknown(clock: Clock) {
  const until = new Map<string, number>()
  return {
    has: (ref: string): boolean => (until.get(ref) ?? 0) > clock.monotonicMs(),
    add(ref: string): void {
      until.delete(ref)
      const oldest = until.keys().next().value
      if (until.size >= SUBJECT_CACHE_MAX && oldest !== undefined) until.delete(oldest)
      until.set(ref, clock.monotonicMs() + UNKNOWN_SUBJECT_MS)
    },
  }
}

/**
 * Makes the account of a subject that comes for the first time, and its starter credits in the same
 * transaction: whoever else asks at once finds both or makes neither.
 */
async function createSubject(deps: SubjectsDeps, ref: string, actor: string): Promise<void> {
  const { starterMicros, starterDays } = deps.settings()
  const grantStarter = async (tx: Tx, accountId: string, nowMs: number): Promise<void> => {
    if (starterMicros === null) return
    const grant = {
      accountId,
      micros: starterMicros,
      kind: 'promo',
      priority: 0,
      effectiveAtMs: null,
      expiresAtMs: starterDays === null ? null : nowMs + starterDays * DAY_MS,
      reason: 'starter credits',
      referenceType: 'starter',
      referenceId: 'starter',
    } as const
    await grantWithin(tx, grant, { nowMs, newId: () => deps.ids.uuid() })
  }
  const account = {
    id: null,
    subjectRef: ref,
    name: ref,
    email: null,
    stripeCustomerId: null,
    creditLimitMicros: ZERO,
    overageLimitMicros: ZERO,
    markup: null,
    actor,
  }
  await deps.accounts.create(account, grantStarter)
}

export function makeSubjects(deps: SubjectsDeps): Subjects {
  const cache = makeCache()
  const unknown = makeUnknown(deps.clock)
  const lookup = makeBatched(async (refs) => {
    const rows = await deps.db.query(sql['find-subjects'], [[...refs]])
    return new Map(rows.map((row) => subjectRow.parse(row)).map((row) => [row.ref, row]))
  })

  /** One look at a time for each subject, however many requests name it. */
  const flights = new Map<string, Promise<Subject | null>>()

  async function read(ref: string, actor: string): Promise<Subject | null> {
    let found = await lookup(ref)
    if (found === null && deps.settings().create) {
      await createSubject(deps, ref, actor)
      found = await lookup(ref)
    }
    if (found === null) unknown.add(ref)
    else cache.set(found)
    return found
  }

  return {
    find(ref, actor) {
      const entry = cache.get(ref)
      if (entry !== undefined) return entry
      if (unknown.has(ref)) return null
      const reading = flights.get(ref) ?? read(ref, actor).finally(() => flights.delete(ref))
      flights.set(ref, reading)
      return reading
    },
    accountChanged: (accountId, changeSeq) => {
      cache.accountChanged(accountId, changeSeq)
    },
    cachedOf: (accountId) => cache.of(accountId),
  }
}
