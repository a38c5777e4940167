/**
 * What the program asks of Postgres and PGlite. Column types arrive as: int8 → number (checked
 * to be a safe integer), numeric → string, timestamptz → number (Unix ms), jsonb → parsed,
 * uuid → string, bytea → Uint8Array.
 */
export type Row = Readonly<Record<string, unknown>>

/** Parameters: times as Date, bigint as string, arrays as arrays, jsonb as JSON text. */
export type Param = string | number | boolean | null | Date | Uint8Array | readonly Param[]

export interface Tx {
  /**
   * Runs one statement; without `params` also several, separated by semicolons (the rows are the
   * last one's). On a `Db` a statement is its own transaction, which Postgres ends after
   * STATEMENT_MS_MAX, through a pooler too: throws UnknownOutcomeError when the connection broke
   * meanwhile, StoreAwayError when there was none. Inside `tx` a broken
   * connection is a StoreAwayError: COMMIT was not sent, so nothing happened. What Postgres
   * refuses is thrown as it came, with its SQLSTATE in `code`.
   */
  query(sql: string, params?: readonly Param[]): Promise<readonly Row[]>
}

export interface TxOptions {
  /** Bound of each statement of this transaction. Default STATEMENT_MS_MAX. */
  readonly statementMs?: number
}

export interface Db extends Tx {
  readonly kind: 'postgres' | 'pglite'
  /**
   * One transaction, READ COMMITTED. Commits when `run` resolves, rolls back when it throws.
   * Throws UnknownOutcomeError when it is not known whether the commit happened, StoreAwayError
   * when it is known that nothing happened because Postgres was away. Statements that `run` did
   * not wait for travel together with the COMMIT; where one of them fails nothing happened.
   * No network call inside `run` (CONTRIBUTING.md), and no use of the Db itself, only of `tx`.
   */
  tx<T>(run: (tx: Tx) => Promise<T>, options?: TxOptions): Promise<T>
  /** Whether a pooler or proxy that shares connections sits between. Throws as `query`. */
  pooled(): Promise<boolean>
  close(): Promise<void>
}
