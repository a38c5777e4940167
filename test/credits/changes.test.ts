import { describe, expect, it } from 'vitest'
import { makeChanges } from '../../src/credits/changes.ts'
import { CHANGED_BATCH_MAX, CHANGED_BEFORE_BATCH_MAX } from '../../src/kernel/limits/holds.ts'
import type { Changed } from '../../src/ledger/ledger.ts'
import { makeManualClock } from '../ledger/memory-clock.ts'

const NOW_MS = Date.UTC(2026, 5, 1)

interface Row {
  readonly changed: Changed
  readonly atMs: number
}

/** Accounts in Postgres at change 1, in the engine at change 0 until they are loaded. */
function world(rows: readonly Row[]) {
  const clock = makeManualClock(NOW_MS)
  const stale = new Set(rows.map(({ changed }) => changed.id))
  const changes = makeChanges({
    engine: {
      accountChangeSeqs: (ids) => Promise.resolve(ids.map((id) => (stale.has(id) ? 0 : 1))),
      keyChangeSeqs: () => Promise.resolve([]),
    },
    ledger: {
      changedSince: ({ at, id }, limit) => {
        const fromMs = Date.parse(at)
        const after = rows.filter(
          (row) => row.atMs > fromMs || (row.atMs === fromMs && row.changed.id > id),
        )
        const page = after.slice(0, limit)
        const last = page.length < limit ? undefined : page.at(-1)
        const next = last && {
          at: new Date(last.atMs).toISOString(),
          kind: 'account',
          id: last.changed.id,
        }
        return Promise.resolve({ changed: page.map(({ changed }) => changed), next: next ?? null })
      },
      snapshotAccount: () => Promise.resolve(null),
      snapshotKey: () => Promise.resolve(null),
    },
    loads: {
      account: (id) => {
        stale.delete(id)
        return Promise.resolve('loaded')
      },
      key: () => Promise.resolve('loaded'),
    },
    clock,
  })
  return { changes, stale }
}

function rowsAt(count: number, atMs: number): Row[] {
  return Array.from({ length: count }, (_, n) => {
    const id = `a${String(n).padStart(6, '0')}`
    return { changed: { kind: 'account', id, accountId: id, changeSeq: 1 }, atMs }
  })
}

describe('the look at what changed', () => {
  it('goes on past a page, also where all changed at one moment', async () => {
    const { changes, stale } = world(rowsAt(CHANGED_BATCH_MAX * 2 + 5, NOW_MS - 1))
    await changes.sweep()
    expect(stale.size).toBe(0)
  })

  it('comes to what changed long before the process started', async () => {
    const count = CHANGED_BEFORE_BATCH_MAX + 5
    const { changes, stale } = world(rowsAt(count, NOW_MS - 3_600_000))
    await changes.sweep()
    await changes.sweep()
    expect(stale.size).toBe(0)
  })
})
