import { z } from 'zod'
import type { Db, Row, Tx } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'
import { overrideSchema, type Override } from './config.ts'
import type { Overrides } from './entries.ts'
import { canonical, contentHash, type PriceVersion } from './version.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'ensure-versions',
  'find-version',
  'insert-override',
  'load-overrides',
  'lock-overrides',
  'retire-overrides',
])

/** An override in force: written by an operator, over the configuration. Source: design §10. */
export interface StoredOverride {
  readonly version: string
  readonly override: Override
  /** Unix ms. */
  readonly createdAtMs: number
}

/** What a receipt's `price_version` stands for, or stood for. */
export interface StoredVersion {
  readonly version: string
  readonly source: string
  readonly upstream: string | null
  readonly model: string | null
  readonly document: unknown
  readonly createdAtMs: number
  /** Unix ms; null = not retired, or a version in use (those never retire). */
  readonly retiredAtMs: number | null
}

/** Nothing else reads or writes the `prices` table. */
export interface PricesTable {
  /**
   * Overrides in force, oldest first. Throws where a row cannot be understood: prices below it
   * must not silently rule instead.
   */
  list(): Promise<readonly StoredOverride[]>
  /** The same as a source of the price book. */
  load(): Promise<Overrides>
  /**
   * Puts an override in the place of the one with the same kind, upstream and model, which is
   * retired, in one transaction. The same content again changes nothing.
   */
  put(override: Override, nowMs: number): Promise<StoredOverride>
  /** Retires an override; false where none was in force. */
  remove(target: OverrideTarget, nowMs: number): Promise<boolean>
  /** Records versions that receipts may name. Idempotent; may run on every gateway. */
  ensureVersions(versions: readonly PriceVersion[], nowMs: number): Promise<void>
  /** null = not recorded. */
  findVersion(version: string): Promise<StoredVersion | null>
}

export interface OverrideTarget {
  readonly kind: Override['kind']
  readonly upstream: string | null
  readonly model: string | null
}

const overrideRow = z.object({
  version: z.string(),
  document: overrideSchema,
  created_at: z.number(),
})

const versionRow = z.object({
  version: z.string(),
  source: z.string(),
  upstream: z.string().nullable(),
  model: z.string().nullable(),
  document: z.unknown(),
  created_at: z.number(),
  retired_at: z.number().nullable(),
})

const targetOf = ({ kind, entry }: Override): OverrideTarget => ({
  kind,
  upstream: entry.upstream ?? null,
  model: entry.model ?? null,
})

function readOverride(row: Row): StoredOverride {
  const parsed = overrideRow.safeParse(row)
  if (!parsed.success) {
    const name = String(row.version)
    throw new Error(`price override ${name} is not readable: ${z.prettifyError(parsed.error)}`)
  }
  const { version, document, created_at } = parsed.data
  return { version, override: document, createdAtMs: created_at }
}

async function readAll(db: Tx): Promise<readonly StoredOverride[]> {
  return (await db.query(sql['load-overrides'])).map(readOverride)
}

const isSame = (a: OverrideTarget, b: OverrideTarget): boolean =>
  a.kind === b.kind && a.upstream === b.upstream && a.model === b.model

async function retire(tx: Tx, target: OverrideTarget, nowMs: number): Promise<readonly Row[]> {
  const { kind, upstream, model } = target
  return tx.query(sql['retire-overrides'], [new Date(nowMs), kind, upstream, model])
}

async function putOverride(tx: Tx, override: Override, nowMs: number): Promise<StoredOverride> {
  await tx.query(sql['lock-overrides'])
  const target = targetOf(override)
  const before = (await readAll(tx)).find((stored) => isSame(targetOf(stored.override), target))
  const document = canonical(override)
  if (before !== undefined && canonical(before.override) === document) return before
  await retire(tx, target, nowMs)
  // The predecessor is part of the name, so that content that returns gets a version of its own.
  const version = `admin:${contentHash(`${document} ${before?.version ?? ''} ${nowMs}`)}`
  const params = [version, target.upstream, target.model, document, new Date(nowMs)]
  await tx.query(sql['insert-override'], params)
  return { version, override, createdAtMs: nowMs }
}

/** As sources of the book, oldest first, so that of two alike the later one rules. */
function overridesOf(stored: readonly StoredOverride[]): Overrides {
  return {
    prices: stored.flatMap(({ override }) => (override.kind === 'cost' ? [override.entry] : [])),
    sell: stored.flatMap(({ override }) => (override.kind === 'sell' ? [override.entry] : [])),
  }
}

export function makePricesTable(db: Db): PricesTable {
  return {
    list: () => readAll(db),
    load: async () => overridesOf(await readAll(db)),
    put: (override, nowMs) => db.tx((tx) => putOverride(tx, override, nowMs)),
    remove: (target, nowMs) =>
      db.tx(async (tx) => {
        await tx.query(sql['lock-overrides'])
        return (await retire(tx, target, nowMs)).length > 0
      }),
    ensureVersions: async (versions, nowMs) => {
      if (versions.length === 0) return
      const columns = (['version', 'source', 'upstream', 'model', 'document'] as const).map(
        (name) => versions.map((version) => version[name]),
      )
      await db.query(sql['ensure-versions'], [...columns, new Date(nowMs)])
    },
    findVersion: async (version) => {
      const [row] = await db.query(sql['find-version'], [version])
      if (row === undefined) return null
      const { created_at, retired_at, ...rest } = versionRow.parse(row)
      return { ...rest, createdAtMs: created_at, retiredAtMs: retired_at }
    },
  }
}

/** Records what the book has named since the last time. Throws what the database throws. */
export async function recordVersions(
  table: Pick<PricesTable, 'ensureVersions'>,
  book: {
    unrecorded(): readonly PriceVersion[]
    recorded(versions: readonly string[]): void
  },
  nowMs: number,
): Promise<void> {
  const versions = book.unrecorded()
  await table.ensureVersions(versions, nowMs)
  book.recorded(versions.map((version) => version.version))
}
