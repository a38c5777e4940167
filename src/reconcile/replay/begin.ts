import { z } from 'zod'
import type { Db, Tx } from '../../store/db.ts'
import { flagOf, numberOf, textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'database-identity',
  'count-relations',
  'is-untouched',
  'has-events',
  'read-mark',
  'write-mark',
])

/** A replay that must not begin. The message says why and what to do. */
export class ReplayRefusedError extends Error {
  override readonly name = 'ReplayRefusedError'
}

const mark = z.object({
  /** The database that is replayed, as it calls itself. */
  source: z.string(),
  /** seq of the last event that was taken over. */
  events: z.number(),
})
/** How far a replay is: what another one into the same database goes on from. */
export type Mark = z.infer<typeof mark>

const identityOf = async (db: Tx): Promise<{ server: string; database: string }> => {
  const [row] = await db.query(sql['database-identity'], [])
  if (row === undefined) throw new Error('unreachable: one is connected to a database')
  return { server: textOf(row, 'server'), database: textOf(row, 'database') }
}

async function readMark(target: Tx): Promise<Mark | null> {
  const [row] = await target.query(sql['read-mark'], [])
  if (row === undefined) return null
  return mark.parse(JSON.parse(textOf(row, 'value')))
}

export async function writeMark(target: Tx, value: Mark): Promise<void> {
  await target.query(sql['write-mark'], [JSON.stringify(value)])
}

const NOT_EMPTY = 'Name a database that is empty or freshly migrated.'

/** null = it is untouched; a mark = a replay was begun there. Throws where it is anything else. */
async function inspect(target: Tx): Promise<Mark | null> {
  const [found] = await target.query(sql['count-relations'], [])
  if (found === undefined) throw new Error('unreachable: a count has a row')
  if (numberOf(found, 'relations') === 0) return null
  if (!flagOf(found, 'is_ours')) {
    throw new ReplayRefusedError(`--into has tables of something else. ${NOT_EMPTY}`)
  }
  const known = await readMark(target)
  if (known !== null) return known
  const [untouched] = await target.query(sql['is-untouched'], [])
  const events = flagOf(found, 'has_events') ? await target.query(sql['has-events'], []) : []
  const isUntouched = untouched?.is_untouched === true && events[0]?.has_events !== true
  if (!isUntouched) throw new ReplayRefusedError(`--into is in use already. ${NOT_EMPTY}`)
  return null
}

/**
 * Makes sure that a replay may be written there, and migrates it. Throws ReplayRefusedError where
 * it is the source itself, or anything but empty, untouched, or an earlier replay of this source.
 * Nothing is written before that is certain.
 */
export async function beginReplay(deps: {
  readonly source: Tx
  readonly target: Db
  readonly migrate: (target: Db) => Promise<unknown>
}): Promise<Mark> {
  const { source, target, migrate } = deps
  const [from, into] = [await identityOf(source), await identityOf(target)]
  if (from.server === into.server && from.database === into.database) {
    throw new ReplayRefusedError('--into is the database that is to be replayed itself.')
  }
  const known = await inspect(target)
  if (known !== null && known.source !== from.database) {
    throw new ReplayRefusedError(`--into holds a replay of ${known.source}. ${NOT_EMPTY}`)
  }
  await migrate(target)
  const begun = known ?? { source: from.database, events: 0 }
  await writeMark(target, begun)
  return begun
}
