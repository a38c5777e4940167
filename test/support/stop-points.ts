import pg from 'pg'
import { until } from './until.ts'

/**
 * A place in a gateway's work at which it is stopped: its first write of a row to `table`, by
 * `write`, and where the row has a state, to that state. `before`: the write waits, and is undone.
 * `commit`: the transaction waits at its COMMIT, which then is carried out; nobody hears of it.
 */
export interface StopPoint {
  readonly table: string
  readonly write: 'INSERT' | 'UPDATE'
  readonly state?: string
  readonly at: 'before' | 'commit'
}

export interface StopPoints {
  /**
   * Lets `run` come to the point, calls `kill` while its transaction waits there, and then lets
   * Postgres end that transaction as the point says.
   */
  killAt(point: StopPoint, run: () => void, kill: () => Promise<unknown>): Promise<void>
  end(): Promise<void>
}

const FUNCTION = `
  CREATE FUNCTION wait_at_stop_point() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext(concat_ws(' ',
      TG_TABLE_NAME, TG_OP, to_jsonb(NEW) ->> 'state', TG_ARGV[0])));
    RETURN NEW;
  END $$`
const WAITING = `
  SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

const nameOf = ({ table, write, state, at }: StopPoint): string =>
  [table, write, ...(state === undefined ? [] : [state]), at].join(' ')

/** Triggers on these tables of a database, which wait where they are told to. */
export async function makeStopPoints(url: string, tables: readonly string[]): Promise<StopPoints> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(FUNCTION)
  for (const table of tables) {
    await client.query(
      `CREATE TRIGGER stop_before BEFORE INSERT OR UPDATE ON ${table} FOR EACH ROW
       EXECUTE FUNCTION wait_at_stop_point('before')`,
    )
    await client.query(
      `CREATE CONSTRAINT TRIGGER stop_commit AFTER INSERT OR UPDATE ON ${table}
       DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_stop_point('commit')`,
    )
  }
  const waiting = async (): Promise<number[]> =>
    (await client.query<{ pid: number }>(WAITING)).rows.map(({ pid }) => pid)
  return {
    async killAt(point, run, kill) {
      const key = [nameOf(point)]
      await client.query('SELECT pg_advisory_lock(hashtext($1))', key)
      try {
        run()
        await until(async () => (await waiting()).length > 0)
        await kill()
        if (point.at === 'before') {
          await client.query('SELECT pg_terminate_backend(pid) FROM pg_locks WHERE pid = ANY($1)', [
            await waiting(),
          ])
        }
      } finally {
        await client.query('SELECT pg_advisory_unlock(hashtext($1))', key)
      }
      // What was under way is over before anybody else looks.
      await until(async () => {
        const { rows } = await client.query(
          `SELECT pid FROM pg_stat_activity WHERE datname = current_database()
           AND backend_type = 'client backend' AND pid <> pg_backend_pid()`,
        )
        return rows.length === 0
      })
    },
    end: () => client.end(),
  }
}
