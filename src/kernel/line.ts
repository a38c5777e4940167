/** Where something stands in a line. Empty once it has left. */
export interface Place<Value> {
  readonly value: Value | null
}

/**
 * What is under way, in the order in which it began. Not a Set: the tables that a Set outgrows
 * point on to the ones after them, so where much comes and goes one old table keeps alive all that
 * ever stood in a later one, and every collection copies it. A place that was left points to
 * nothing.
 */
export interface Line<Value> {
  readonly size: number
  /** null = nothing is under way. */
  readonly first: Value | null
  add(value: Value): Place<Value>
  /** Does nothing to a place that was left before. */
  remove(place: Place<Value>): void
  /** Takes out the first. */
  shift(): void
  /** All that stand in it now, from the first on. */
  all(): Value[]
}

interface Link<Value> {
  value: Value | null
  before: Link<Value> | null
  after: Link<Value> | null
}

export function makeLine<Value>(): Line<Value> {
  let first: Link<Value> | null = null
  let last: Link<Value> | null = null
  let size = 0

  function leave(link: Link<Value>): void {
    if (link.value === null) return
    if (link.before === null) first = link.after
    else link.before.after = link.after
    if (link.after === null) last = link.before
    else link.after.before = link.before
    link.value = null
    link.before = null
    link.after = null
    size -= 1
  }

  return {
    get size() {
      return size
    },
    get first() {
      return first === null ? null : first.value
    },
    add(value) {
      const link: Link<Value> = { value, before: last, after: null }
      if (last === null) first = link
      else last.after = link
      last = link
      size += 1
      return link
    },
    remove(place) {
      leave(place as Link<Value>)
    },
    shift() {
      if (first !== null) leave(first)
    },
    all() {
      const values: Value[] = []
      for (let link = first; link !== null; link = link.after) {
        if (link.value !== null) values.push(link.value)
      }
      return values
    },
  }
}
