/**
 * The store could not be asked, and nothing was done: no connection, no free one in the pool, or
 * the connection ended before COMMIT was sent. Safe to try again; see UnknownOutcomeError for the
 * other case. Source: design §3 (Postgres, for a while).
 */
export class StoreAwayError extends Error {
  override readonly name = 'StoreAwayError'
}

/** The five characters of SQLSTATE where the error came from Postgres, else null. */
export function sqlState(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error)) return null
  const { code } = error
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && 'severity' in error ? code : null
}

/**
 * True where Postgres itself said that the statement did not happen. False where the connection
 * ended (also by the server's own FATAL) or a pooler answered in Postgres' place.
 */
export function isDefinite(error: unknown): boolean {
  const state = sqlState(error)
  if (state === null) return false
  if (error instanceof Error && 'severity' in error && error.severity !== 'ERROR') return false
  // 08: connection, 40003: completion unknown, 57P: shutting down. Poolers send 08P01 as ERROR.
  return !(state.startsWith('08') || state === '40003' || state.startsWith('57P'))
}
