import type { Clock } from '../kernel/clock.ts'
import { invariant } from '../kernel/invariant.ts'
import type { Db, Row } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'
import type { Incarnations } from './commands.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['read-incarnation', 'bump-incarnation'])

/**
 * Numbers of credit nodes in Postgres. Throws UnknownOutcomeError like every statement; a number
 * drawn twice is only a gap. Source: design §4.
 */
export function makeIncarnations({ db, clock }: { db: Db; clock: Clock }): Incarnations {
  const read = async (node: string): Promise<number | null> => {
    const [row] = await db.query(sql['read-incarnation'], [node])
    return row === undefined ? null : numberOf(row)
  }
  const bump = async (node: string, seen: number): Promise<{ number: number; drawn: boolean }> => {
    const [row] = await db.query(sql['bump-incarnation'], [node, seen, clock.now()])
    if (row !== undefined) return { number: numberOf(row), drawn: true }
    const number = await read(node)
    invariant(number !== null, 'a node whose number was not replaced has one')
    return { number, drawn: false }
  }
  return {
    bump,
    read: async (node) => (await read(node)) ?? (await bump(node, 0)).number,
  }
}

function numberOf(row: Row): number {
  invariant(typeof row.number === 'number', 'an incarnation is a number')
  return row.number
}
