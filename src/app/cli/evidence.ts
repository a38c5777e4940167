import { z } from 'zod'
import { fields } from './table.ts'

const CELL_CHARS_MAX = 120

export const evidence = z.record(z.string(), z.json())
type Evidence = z.output<typeof evidence>

/** A text as it is, anything else as JSON. */
const textOf = (value: z.output<ReturnType<typeof z.json>>): string =>
  typeof value === 'string' ? value : JSON.stringify(value)

/** What says most, in this order; Postgres keeps the names of JSON in an order of its own. */
const FIRST = [
  ...['reason', 'detail', 'error', 'stripe', 'ledger', 'one', 'other', 'invoice', 'owed'],
  ...['accepted', 'export_usd', 'receipts_usd', 'differs', 'blocked', 'account_id'],
]
const rankOf = (name: string): number => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length)

/** What both sides say, in one cell: `farebox findings show <id>` has all of it. */
export function evidenceCell(of: Evidence): string {
  const text = Object.entries(of)
    .filter(([, value]) => value !== null)
    .toSorted(([a], [b]) => rankOf(a) - rankOf(b))
    .map(([name, value]) => `${name}=${textOf(value)}`)
    .join(' ')
  return text.length > CELL_CHARS_MAX ? `${text.slice(0, CELL_CHARS_MAX - 1)}…` : text
}

/** "2026-11-21 20:09:12", UTC. */
export const timeCell = (iso: string | null): string | null =>
  iso === null ? null : iso.replace('T', ' ').replace(/(?:\.\d+)?Z$/, '')

export const findingDetail = z.object({
  id: z.string(),
  kind: z.string(),
  severity: z.string(),
  direction: z.string().nullable(),
  subject: z.string(),
  state: z.string(),
  at_stake_micros: z.number().nullable(),
  first_seen: z.string().nullable(),
  last_seen: z.string().nullable(),
  note: z.string().nullable(),
  explained_until: z.string().nullable(),
  evidence,
})

export const creditsCell = (micros: number | null): number | null =>
  micros === null ? null : micros / 1_000_000

/** One finding, whole. */
export function findingText(one: z.output<typeof findingDetail>): string {
  const { note, explained_until: until } = one
  return fields([
    ...([
      ['id', one.id],
      ['kind', one.kind],
      ['severity', one.severity],
      ['direction', one.direction],
      ['subject', one.subject],
      ['state', one.state],
      ['credits at stake', creditsCell(one.at_stake_micros)],
      ['first seen', timeCell(one.first_seen)],
      ['last seen', timeCell(one.last_seen)],
    ] as const),
    ...(note === null ? [] : ([['explained', note]] as const)),
    ...(until === null ? [] : ([['until', timeCell(until)]] as const)),
    ...Object.entries(one.evidence).map(
      ([name, value]) => [`  ${name}`, value === null ? null : textOf(value)] as const,
    ),
  ])
}
