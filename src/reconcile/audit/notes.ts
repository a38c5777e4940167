import { NOTE_FIELDS, readHeading, requireFields, type Chosen } from './columns.ts'
import { AuditInputError, type CsvFile } from './csv.ts'
import { readTime } from './values.ts'

/** `trial`, `grace`, `comped` may be active unpaid; `blocked` is kept out on purpose; `ignore`. */
const KINDS = ['trial', 'grace', 'comped', 'blocked', 'ignore'] as const
type NoteKind = (typeof KINDS)[number]

/** An exception that a person has granted. */
export interface Note {
  readonly kind: NoteKind
  /** null = for good. */
  readonly untilMs: number | null
  readonly text: string
}

export type Direction = 'paid_but_blocked' | 'unpaid_but_active'

/** What is known of a subject: an exception that stands, or one that has run out. */
export interface Excuse {
  readonly note: Note
  readonly stands: boolean
}

export interface Notes {
  readonly count: number
  /** The first of these ids or e-mails with an exception of that direction. null = none has. */
  excuse(subjects: readonly string[], direction: Direction, nowMs: number): Excuse | null
}

export const NO_NOTES: Notes = { count: 0, excuse: () => null }

const covers = ({ kind }: Note, direction: Direction): boolean => {
  if (kind === 'ignore') return true
  return (kind === 'blocked') === (direction === 'paid_but_blocked')
}

const kindOf = (text: string): NoteKind | undefined => KINDS.find((kind) => kind === text)

/** A day is meant to its end. */
const untilOf = (text: string): number | null => {
  const ms = readTime(text)
  return ms !== null && /^\d{4}-\d{2}-\d{2}$/.test(text) ? ms + 86_399_999 : ms
}

/** Reads the notes file. Throws AuditInputError for every line that is not understood. */
export async function readNotes(file: CsvFile, chosen: Chosen): Promise<Notes> {
  const { columns } = readHeading(file, NOTE_FIELDS, chosen)
  requireFields(file, 'notes', columns, [['subject'], ['kind']])
  const notes = new Map<string, Note[]>()
  let [row, count] = [1, 0]
  for await (const cells of file.rows) {
    row += 1
    const cell = (field: keyof typeof NOTE_FIELDS): string => {
      const at = columns[field]
      return at === null ? '' : (cells[at] ?? '')
    }
    const where = `${file.name}, row ${row}`
    const [subject, kindText, until] = [cell('subject'), cell('kind').toLowerCase(), cell('until')]
    const kind = kindOf(kindText)
    if (subject === '') throw new AuditInputError(`${where}: it names no subject`)
    if (kind === undefined) {
      throw new AuditInputError(`${where}: kind is one of ${KINDS.join(', ')}, not "${kindText}"`)
    }
    const untilMs = untilOf(until)
    if (until !== '' && untilMs === null) {
      throw new AuditInputError(`${where}: "${until}" is no day; write it like 2027-01-31`)
    }
    const key = subject.toLowerCase()
    notes.set(key, [...(notes.get(key) ?? []), { kind, untilMs, text: cell('note') }])
    count += 1
  }
  return {
    count,
    excuse(subjects, direction, nowMs) {
      const all = subjects
        .flatMap((subject) => notes.get(subject.toLowerCase()) ?? [])
        .filter((note) => covers(note, direction))
        .map((note) => ({ note, stands: note.untilMs === null || note.untilMs >= nowMs }))
      return all.find(({ stands }) => stands) ?? all[0] ?? null
    },
  }
}
