/** Whose request this is and what it may do; resolved from Postgres, cached, I10-checked. */
export interface Caller {
  readonly keyId: string
  readonly keyKind: 'client' | 'backend'
  readonly accountId: string
  /** As it was read: the credit engine decides. */
  readonly accountStatus: 'active' | 'frozen' | 'suspended'
  /** change_seq of the key as it was read: the credit engine must know it as new. */
  readonly keySeq: number
  /** Globs ("gpt-*"); null = all. */
  readonly models: readonly string[] | null
  /** Names like "chat/completions" with globs; null = all. */
  readonly endpoints: readonly string[] | null
  /** What the account's plan allows beside: both must. null = all. */
  readonly planModels: readonly string[] | null
  readonly planEndpoints: readonly string[] | null
  /** The account's markup over cost, decimal string; null = the book's. */
  readonly markup: string | null
}

export interface Authenticator {
  /**
   * The caller of a secret, or null where it is unknown, revoked, expired or malformed. Answers
   * without a promise when cached. A revocation anywhere reaches this cache within a second. While
   * Postgres is away, cached keys go on (design §3); for others it throws.
   */
  authenticate(secret: string): Caller | null | Promise<Caller | null>
}
