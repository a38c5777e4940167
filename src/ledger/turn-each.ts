import { faultOf } from './post-faults.ts'

/** What came of a turn over accounts whose time has come. */
export interface Turned {
  /** Those that were turned; to be loaded, whatever befell another one. */
  readonly accountIds: readonly string[]
  /** The first fault of another one. */
  readonly fault: Error | null
}

/**
 * Turns one account after the other; `turn` answers whether something came of it. One that cannot
 * be turned keeps no other one from it; where Postgres is away the rest waits.
 */
export async function turnEach(
  due: readonly string[],
  turn: (accountId: string) => Promise<boolean>,
): Promise<Turned> {
  const accountIds: string[] = []
  let fault: Error | null = null
  for (const accountId of due) {
    try {
      if (await turn(accountId)) accountIds.push(accountId)
    } catch (error) {
      if (!(error instanceof Error)) throw error
      fault ??= error
      if (faultOf(error) === 'away') break
    }
  }
  return { accountIds, fault }
}

/** Loads those that were turned into the credit engine, then throws the fault of another one. */
export async function loadTurned(
  { accountIds, fault }: Turned,
  load: (accountId: string) => Promise<void>,
): Promise<void> {
  for (const accountId of accountIds) await load(accountId)
  if (fault !== null) throw fault
}
