/**
 * What the program asks of Postgres and PGlite. Column types arrive as: int8 → number (checked
 * to be a safe integer), numeric → string, timestamptz → number (Unix ms), jsonb → parsed,
 * uuid → string, bytea → Uint8Array.
 */
export type Row = Readonly<Record<string, unknown>>

/** Parameters: times as Date, bigint as string, arrays as arrays, jsonb as JSON text. */
export type Param = string | number | boolean | null | Date | Uint8Array | readonly Param[]

export interface Tx {
  /** Runs one statement. Throws UnknownOutcomeError when the connection broke meanwhile. */
  query(sql: string, params?: readonly Param[]): Promise<readonly Row[]>
}

export interface Db extends Tx {
  readonly kind: 'postgres' | 'pglite'
  /**
   * One transaction, READ COMMITTED. Commits when `run` resolves, rolls back when it throws.
   * Throws UnknownOutcomeError when it is not known whether the commit happened.
   * No network call inside `run` (style rule 7).
   */
  tx<T>(run: (tx: Tx) => Promise<T>): Promise<T>
  close(): Promise<void>
}
