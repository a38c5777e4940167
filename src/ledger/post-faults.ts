import { UnknownOutcomeError } from '../kernel/errors.ts'
import { InvariantError } from '../kernel/invariant.ts'
import { sqlState, StoreAwayError } from '../store/errors.ts'

/**
 * Why a batch was not posted.
 * away: Postgres is, or another transaction was in the way; the same batch will pass later.
 * row: one of its rows can never be posted.
 * strange: neither is certain, such as a column that a missing migration would have added.
 */
export type PostFault = 'away' | 'row' | 'strange'

/** SQLSTATE classes whose cause is in the data: 21, 22 data, 23 constraints, 54 limits. */
const ROW_CLASSES = new Set(['21', '22', '23', '54'])
/** 08 connection, 40 deadlock or serialization, 53 resources, 57 operator, 58 system. */
const AWAY_CLASSES = new Set(['08', '40', '53', '57', '58'])
/** Lock timeout; read-only, as a server is that was primary until a moment ago. */
const AWAY_STATES = new Set(['55P03', '25006'])

export function faultOf(error: unknown): PostFault {
  if (error instanceof UnknownOutcomeError || error instanceof StoreAwayError) return 'away'
  if (error instanceof InvariantError || error instanceof RangeError) return 'row'
  const state = sqlState(error)
  if (state === null) return 'strange'
  if (AWAY_STATES.has(state) || AWAY_CLASSES.has(state.slice(0, 2))) return 'away'
  return ROW_CLASSES.has(state.slice(0, 2)) ? 'row' : 'strange'
}
