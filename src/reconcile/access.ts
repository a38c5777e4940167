import { isDeepStrictEqual } from 'node:util'
import type { Caller } from '../access/access.ts'
import type { Resolved } from '../access/plans/entitle.ts'
import type { Entitlements } from '../access/plans/resolve.ts'
import { readEntitlements } from '../access/plans/rows.ts'
import type { Subject } from '../access/subjects.ts'
import type { Tx } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'
import type { StoredKey, Suspicion } from './live.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['account-markup'])

/** What this process rules requests of an account by, without asking Postgres. */
export interface CachedCopy {
  /** null = it was found by its subject. */
  readonly key: Pick<Caller, 'keyId' | 'models' | 'endpoints'> | null
  readonly ruled: Pick<Caller, 'markup' | 'planModels' | 'planEndpoints'>
}

const ruledBy = ({ markup, planModels, planEndpoints }: CachedCopy['ruled']) => ({
  ...{ markup, planModels, planEndpoints },
})

/** Client keys of an account and its subject, as one process has them cached. */
export const cachedCopies = (
  callers: readonly Caller[],
  subject: Subject | null,
): readonly CachedCopy[] => [
  ...callers.map((caller) => ({ key: caller, ruled: ruledBy(caller) })),
  ...(subject === null ? [] : [{ key: null, ruled: ruledBy(subject) }]),
]

export interface AccessLook {
  read(accountId: string, nowMs: number): Promise<Pick<Resolved, 'entitlements'>>
  cached(accountId: string): readonly CachedCopy[]
}

/** paid_through and the next change move with time and rule nothing by themselves. */
const ruling = (it: Entitlements): Entitlements => ({
  ...it,
  paidThroughMs: null,
  nextChangeAtMs: null,
})

function differs(
  copy: 'stored' | 'cached',
  subject: string,
  is: unknown,
  should: unknown,
): Suspicion[] {
  if (isDeepStrictEqual(is, should)) return []
  const detail = `${WHAT[copy]}: ${text(is)}, resolved ${text(should)}`
  return [{ invariant: 'I10', copy, subject, detail }]
}

const WHAT = { stored: 'stored entitlements', cached: 'cached caller' } as const

const text = (value: unknown): string => JSON.stringify(value)

/** I10 for a cached key: its own lists. */
export const checkCachedKey = (
  { id, models, endpoints }: StoredKey,
  copies: readonly CachedCopy[],
): Suspicion[] =>
  copies.flatMap(({ key }) =>
    key?.keyId === id
      ? differs(
          'cached',
          id,
          { models: key.models, endpoints: key.endpoints },
          { models, endpoints },
        )
      : [],
  )

/**
 * I10 beyond the engine: what is stored equals what is resolved now, and what this process has
 * cached equals both. Source: design §6.
 */
export async function lookAtAccess(
  tx: Tx,
  access: AccessLook,
  accountId: string,
  nowMs: number,
): Promise<Suspicion[]> {
  const stored = await readEntitlements(tx, accountId)
  const { entitlements } = await access.read(accountId, nowMs)
  const [account] = await tx.query(sql['account-markup'], [accountId])
  if (account === undefined) return []
  const should = {
    markup: account.markup,
    planModels: entitlements.models,
    planEndpoints: entitlements.endpoints,
  }
  return [
    ...(stored === null
      ? []
      : differs('stored', accountId, ruling(stored.is), ruling(entitlements))),
    ...access.cached(accountId).flatMap(({ ruled }) => differs('cached', accountId, ruled, should)),
  ]
}
