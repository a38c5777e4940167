import { LAPSED_BATCH_MAX, LAPSED_SEEN_MAX } from '../kernel/limits/holds.ts'
import { describeError, type Log } from '../kernel/log.ts'
import type { LapsedHold } from './commands.ts'
import type { CommandName, Input, LapsedPage, Reply, Transport } from './transport.ts'

/** Runs a command in the incarnation in force. */
export type Run = <N extends CommandName>(
  name: N,
  shard: number,
  input: Input<N>,
) => Promise<Reply<N>>

/** Reads a list ordered by deadline, page by page, until `take` says that enough was taken. */
async function readPages<T extends { readonly deadlineMs: number }>(
  read: (page: LapsedPage) => Promise<readonly T[]>,
  limit: number,
  take: (found: readonly T[]) => number,
): Promise<void> {
  let fromMs = 0
  let skip = 0
  for (;;) {
    const page = await read({ fromMs, skip, limit })
    const taken = take(page)
    const lastMs = page.at(-1)?.deadlineMs
    if (lastMs === undefined || page.length < limit || taken >= LAPSED_SEEN_MAX) return
    const tied = page.filter(({ deadlineMs }) => deadlineMs === lastMs).length
    skip = lastMs === fromMs ? skip + tied : tied
    fromMs = lastMs
  }
}

/**
 * All that is lapsed: holds that cannot be ended (their post waits for Postgres) must not hide
 * others, so all pages are read. Which accounts to look at is read first, because looking at one
 * moves it. Each hold comes once. What could not be read is logged, and thrown where nothing else
 * was found. Throws UnknownOutcomeError. Source: design §3.
 */
export async function lapsedEverywhere(
  run: Run,
  { kind, shards }: Pick<Transport, 'kind' | 'shards'>,
  log: Pick<Log, 'error'>,
): Promise<readonly LapsedHold[]> {
  const found = new Map<string, LapsedHold>()
  // Each page of the embedded engine walks all its holds, and nobody else waits for it.
  const limit = kind === 'embedded' ? LAPSED_SEEN_MAX : LAPSED_BATCH_MAX
  const keep = (holds: readonly LapsedHold[]): number => {
    for (const hold of holds) found.set(`${hold.holdId} ${hold.accountId}`, hold)
    return found.size
  }
  // One account, or shard, that cannot be read must not hide the others; alone it is thrown.
  const faults: unknown[] = []
  const orNote = (reading: Promise<void>): Promise<void> =>
    reading.catch((error: unknown) => {
      faults.push(error)
    })
  const readAccount = async (shard: number, accountId: string): Promise<void> => {
    let cursor = '0'
    do {
      const page = await run('lapsed-holds', shard, { accountId, cursor, limit })
      cursor = page.cursor
      keep(page.holds)
    } while (cursor !== '0' && found.size < LAPSED_SEEN_MAX)
  }
  const readShard = async (shard: number): Promise<void> => {
    const accountIds: string[] = []
    await readPages((page) => run('lapsed', shard, page), limit, keep)
    await readPages(
      (page) => run('lapsed-accounts', shard, page),
      limit,
      (accounts) => accountIds.push(...accounts.map(({ accountId }) => accountId)),
    )
    for (const accountId of accountIds) {
      if (found.size < LAPSED_SEEN_MAX) await orNote(readAccount(shard, accountId))
    }
  }
  await Promise.all(Array.from({ length: shards }, (_, shard) => orNote(readShard(shard))))
  if (faults.length > 0) {
    if (found.size === 0) throw faults[0]
    const fields = { faults: faults.length, error: describeError(faults[0]) }
    log.error(fields, 'lapsed holds were not looked for everywhere')
  }
  return [...found.values()].slice(0, LAPSED_SEEN_MAX)
}
