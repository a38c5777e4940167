import { createHash } from 'node:crypto'
import pg from 'pg'
import { UnknownOutcomeError } from '../kernel/errors.ts'
import * as limits from '../kernel/limits/stores.ts'
import { describeError, type Log } from '../kernel/log.ts'
import type { Db, Param, Row, Tx, TxOptions } from './db.ts'
import { isDefinite, sqlState, StoreAwayError } from './errors.ts'
import { limitStatement } from './postgres-cancel.ts'
import { gatherWrites } from './turn-writes.ts'
import { columnParsers } from './types.ts'

export interface PostgresOptions {
  readonly url: string
  /** Connections of this process, at most. */
  readonly poolMax: number
  readonly log: Log
  /** Waiting for a free or new connection. Default POSTGRES_CONNECT_MS_MAX. */
  readonly connectMs?: number
  /** Default STATEMENT_MS_MAX. */
  readonly statementMs?: number
  /**
   * Keep statements prepared by name. Default true: turned off by itself where a pooler sits
   * between, which may give each transaction another connection than the one that knows them.
   */
  readonly prepare?: boolean
}

/** Opens a pool; connects on first use, so it never throws for a server that is away. */
export function openPostgres(options: PostgresOptions): Db {
  const statementMs = options.statementMs ?? limits.STATEMENT_MS_MAX
  const pool = makePool(options, statementMs)
  const names = makeNames(options.prepare ?? true, options.log)

  let isPooled: boolean | null = null

  /** Known from the first connection on, before any statement is prepared. */
  async function connect(): Promise<pg.PoolClient> {
    try {
      const client = await pool.connect()
      if (isPooled === null) {
        isPooled = await isShared(client)
        if (isPooled) names.giveUp('a pooler sits before Postgres')
      }
      return client
    } catch (error) {
      throw new StoreAwayError(`no connection: ${describeError(error)}`, { cause: error })
    }
  }

  async function query(sql: string, params?: readonly Param[]): Promise<readonly Row[]> {
    const client = await connect()
    if (isPooled === true) return alone(client, names, statementMs, sql, params)
    const limit = limitStatement(client, statementMs, limits.STATEMENT_GRACE_MS)
    try {
      const rows = await send(client, names.of(sql, params), params)
      client.release(limit.lift())
      return rows
    } catch (error) {
      const isCanceled = limit.lift()
      client.release(isCanceled || !isDefinite(error))
      if (names.lost(error)) return query(sql, params)
      if (isDefinite(error)) throw error
      throw new UnknownOutcomeError(describeError(error), { cause: error })
    }
  }

  return {
    kind: 'postgres',
    query,
    tx: async (run, txOptions) =>
      transact(await connect(), names, run, { statementMs, ...txOptions }),
    async pooled() {
      if (isPooled === null) (await connect()).release()
      return isPooled === true
    },
    close: () => pool.end(),
  }
}

/**
 * A pooler names a process of its own to its clients; Postgres names the one that serves. Gives the
 * connection back where it fails.
 */
async function isShared(client: pg.PoolClient): Promise<boolean> {
  try {
    const [row] = await send(client, { text: 'SELECT pg_backend_pid() AS pid' }, undefined)
    return !('processID' in client) || client.processID !== row?.pid
  } catch (error) {
    client.release(true)
    throw error
  }
}

function makePool(options: PostgresOptions, statementMs: number): pg.Pool {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.poolMax,
    application_name: 'farebox',
    connectionTimeoutMillis: options.connectMs ?? limits.POSTGRES_CONNECT_MS_MAX,
    query_timeout: statementMs + limits.STATEMENT_GRACE_MS,
    keepAlive: true,
    pipeline: true, // BEGIN travels together with the first statement
    types: makeTypes(),
  })
  // Without a listener a connection that ends while it is lent out would end the process.
  pool.on('connect', (client) => client.on('error', () => undefined))
  pool.on('error', (error) => {
    options.log.warn({ error: describeError(error) }, 'an idle Postgres connection ended')
  })
  return pool
}

function makeTypes(): pg.TypeOverrides {
  const types = new pg.TypeOverrides()
  for (const [oid, parse] of columnParsers) types.setTypeParser(oid, parse)
  return types
}

interface Names {
  of(sql: string, params: readonly Param[] | undefined): Statement
  /** True when the error says that names do not work here; they are not used from then on. */
  lost(error: unknown): boolean
  /** They are not used from now on. */
  giveUp(why: string): void
}

interface Statement {
  readonly text: string
  readonly name?: string
  readonly query_timeout?: number
}

/**
 * Whether the answer's columns are `*`: those of a prepared statement may not change, and a newer
 * release's migration adds some while this one serves. What lies in parentheses does not show.
 */
function hasOpenColumns(text: string): boolean {
  let outer = text.replaceAll(/--.*$/gm, '')
  for (let before = ''; before !== outer;) {
    before = outer
    outer = outer.replaceAll(/\([^()]*\)/g, '')
  }
  return /(?:\b(?:SELECT|RETURNING)|,)\s+(?:\w+\.)?\*/i.test(outer)
}

/** The name is made of the text, so that a pooled server connection never holds another one. */
function makeNames(prepare: boolean, log: Log): Names {
  const known = new Map<string, string>()
  let enabled = prepare
  const giveUp = (why: string): void => {
    if (enabled) log.info({ why }, 'statements are not kept prepared')
    enabled = false
  }
  return {
    giveUp,
    of(text, params) {
      if (!enabled || params === undefined) return { text }
      const kept = known.get(text)
      if (kept !== undefined) return { text, name: kept }
      if (known.size >= limits.PREPARED_MAX || hasOpenColumns(text)) return { text }
      const name = `fb_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`
      known.set(text, name)
      return { text, name }
    },
    lost(error) {
      const state = sqlState(error)
      const isLost = state === '26000' || state === '42P05' // unknown name, name taken
      if (isLost) giveUp(`Postgres answered ${state}`)
      return isLost
    },
  }
}

async function send(
  client: pg.PoolClient,
  statement: Statement,
  params: readonly Param[] | undefined,
): Promise<readonly Row[]> {
  const config = params === undefined ? statement : { ...statement, values: [...params] }
  gatherWrites(client.connection.stream)
  // Several statements in one text answer one result each, which the types do not say.
  const results = [await client.query<Row>(config)].flat()
  return results.at(-1)?.rows ?? []
}

/** SQLSTATE of a statement that was not even tried: an earlier one had failed. */
const ABORTED = '25P02'

async function transact<T>(
  client: pg.PoolClient,
  names: Names,
  run: (tx: Tx) => Promise<T>,
  options: BeginOptions,
): Promise<T> {
  const timeout = { query_timeout: options.statementMs + limits.STATEMENT_GRACE_MS }
  const begun = send(client, { text: beginText(options) }, undefined)
  let isCommitting = false
  const fail = (error: unknown): never => {
    throw faultIn(error, names, isCommitting)
  }
  const opened = begun.catch(fail)
  opened.catch(() => undefined) // awaited below, where it is the first to fail
  const sent: Promise<unknown>[] = [opened]
  const tx: Tx = {
    query(sql, params) {
      const answer = send(client, { ...names.of(sql, params), ...timeout }, params)
      const both = Promise.all([answer, begun]).then(([rows]) => rows, fail)
      both.catch(() => undefined) // awaited with the COMMIT, if not by who asked
      sent.push(both)
      return both
    },
  }
  try {
    const result = await run(tx)
    isCommitting = true
    const committed = commit(client)
    committed.catch(() => undefined) // awaited after what would be the reason for its failure
    await Promise.all(sent)
    await committed
    client.release()
    return result
  } catch (error) {
    await leave(client, error)
    throw await reasonFor(error, sent)
  }
}

/**
 * One statement behind a pooler, where none can be cancelled: in a transaction whose setting lets
 * the server end it. All of it travels together, so it is one round trip all the same.
 */
async function alone(
  client: pg.PoolClient,
  names: Names,
  statementMs: number,
  ...one: Parameters<Tx['query']>
): Promise<readonly Row[]> {
  const sendIt = (tx: Tx) => Promise.resolve({ rows: tx.query(...one) })
  return (await transact(client, names, sendIt, { statementMs, isAlone: true })).rows
}

/** Of statements sent together the first that fails is why the others do, whichever is awaited. */
async function reasonFor(error: unknown, sent: readonly Promise<unknown>[]): Promise<unknown> {
  if (sqlState(error) !== ABORTED) return error
  const ends = await Promise.allSettled(sent)
  const first = ends.find((end) => end.status === 'rejected')
  return first === undefined ? error : first.reason
}

/** Before COMMIT was sent a broken connection means that nothing happened. */
function faultIn(error: unknown, names: Names, isCommitting: boolean): unknown {
  if (!names.lost(error) && isDefinite(error)) return error
  return isCommitting
    ? new UnknownOutcomeError(describeError(error), { cause: error })
    : new StoreAwayError(describeError(error), { cause: error })
}

/** isAlone: one statement, which is not prepared. */
type BeginOptions = Required<TxOptions> & { readonly isAlone?: boolean }

/** One text, one round trip, and nothing that outlives the transaction. */
function beginText({ statementMs, isAlone = false }: BeginOptions): string {
  // Else a statement given short arrays is planned anew each time, which costs more than it does.
  const plans = isAlone ? [] : ['SET LOCAL plan_cache_mode = force_generic_plan']
  return [
    'BEGIN ISOLATION LEVEL READ COMMITTED',
    `SET LOCAL statement_timeout = ${statementMs}`,
    `SET LOCAL idle_in_transaction_session_timeout = ${limits.IDLE_IN_TRANSACTION_MS_MAX}`,
    ...plans,
  ].join('; ')
}

async function commit(client: pg.PoolClient): Promise<void> {
  let command: string
  gatherWrites(client.connection.stream)
  try {
    command = (await client.query('COMMIT')).command
  } catch (error) {
    if (isDefinite(error)) throw error
    throw new UnknownOutcomeError(`commit: ${describeError(error)}`, { cause: error })
  }
  // Postgres answers ROLLBACK, without an error, where an earlier statement had failed.
  if (command !== 'COMMIT') throw new Error('rolled back: a failed statement was ignored')
}

/** Gives the connection back clean, or ends it. Either way the transaction is over. */
async function leave(client: pg.PoolClient, error: unknown): Promise<void> {
  if (error instanceof UnknownOutcomeError) {
    client.release(true)
    return
  }
  try {
    await client.query('ROLLBACK')
    client.release()
  } catch {
    client.release(true)
  }
}
