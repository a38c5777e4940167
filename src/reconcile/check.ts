import type { Drift, DriftKind } from './drift.ts'

/** What a run is about. */
export interface Scope {
  /** Only payments made since; null = all of them. Unix ms. */
  readonly sinceMs: number | null
  /** What is younger than this is not judged. Unix ms. */
  readonly untilMs: number
}

export interface CheckPage {
  readonly drifts: readonly Drift[]
  /** Things compared. */
  readonly seen: number
  /** Subjects that changed of late: what is open of them stays open. Absent = none. */
  readonly unjudged?: readonly string[]
  /** Where the next page starts; null = this was the last one. */
  readonly next: string | null
}

/** One pair of books, compared a page at a time. Reads only. */
export interface Check {
  readonly name: string
  /** Of its findings: those that a whole comparison does not see any more are gone. */
  readonly kinds: readonly DriftKind[]
  /** Whether the scope's beginning bounds it. */
  readonly isOfTime: boolean
  page(cursor: string | null, scope: Scope): Promise<CheckPage>
  /** One drift of its own as it is now; null = it is gone. Absent = it has nothing to repair. */
  again?(drift: Drift): Promise<Drift | null>
}
