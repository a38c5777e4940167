import { RECHARGE_HINTS_MAX } from '../../kernel/limits/stripe.ts'

/** Accounts that were charged, for a look at their threshold. Only a hint: a sweep finds all. */
export interface Hints {
  /** Called by posting before its commit, so it must cost nothing. */
  note(accountId: string): void
  /** Those noted before the previous call: what they were charged is committed by now. */
  take(): readonly string[]
}

export function makeHints(): Hints {
  let young = new Set<string>()
  let old = new Set<string>()
  return {
    note(accountId) {
      if (young.size < RECHARGE_HINTS_MAX) young.add(accountId)
    },
    take() {
      const taken = [...old]
      old = young
      young = new Set()
      return taken
    },
  }
}
