import { child, int, intOr, isObj, text, textOr, type Json, type Obj } from './json.ts'
import { invalid, missing } from './faults.ts'

const LIMIT_MAX = 100
const LIMIT_DEFAULT = 10

function limitOf(input: Obj): number {
  const limit = intOr(input, 'limit') ?? LIMIT_DEFAULT
  if (limit < 1 || limit > LIMIT_MAX) {
    throw invalid('Limit must be between 1 and 100.', 'limit', 'parameter_invalid_integer')
  }
  return limit
}

/** `found` is oldest first; the page is newest first, as Stripe lists. */
export function page(found: readonly Obj[], input: Obj, url: string): Obj {
  const limit = limitOf(input)
  const sorted = found.filter(inRange(input)).reverse()
  const after = textOr(input, 'starting_after')
  const before = textOr(input, 'ending_before')
  if (after !== null) {
    const rest = sorted.slice(indexOf(sorted, after, 'starting_after') + 1)
    return listOf(rest.slice(0, limit), rest.length > limit, url)
  }
  if (before !== null) {
    const rest = sorted.slice(0, indexOf(sorted, before, 'ending_before'))
    return listOf(rest.slice(-limit), rest.length > limit, url)
  }
  return listOf(sorted.slice(0, limit), sorted.length > limit, url)
}

export const listOf = (data: Obj[], more: boolean, url: string): Obj => ({
  object: 'list',
  data,
  has_more: more,
  url,
})

function indexOf(list: readonly Obj[], id: string, param: string): number {
  const at = list.findIndex((row) => row.id === id)
  if (at < 0) throw missing('object', id, param)
  return at
}

function inRange(input: Obj): (row: Obj) => boolean {
  const created = input.created
  if (typeof created === 'string') return (row) => int(row, 'created') === Number(created)
  const range = child(input, 'created')
  const test = (key: string, passes: (at: number, bound: number) => boolean) => {
    const bound = intOr(range, key)
    return (row: Obj): boolean => bound === null || passes(int(row, 'created'), bound)
  }
  const tests = [
    test('gt', (at, bound) => at > bound),
    test('gte', (at, bound) => at >= bound),
    test('lt', (at, bound) => at < bound),
    test('lte', (at, bound) => at <= bound),
  ]
  return (row) => tests.every((passes) => passes(row))
}

/** Keeps rows whose `names` equal the input's, where the input has them. */
export function matching(input: Obj, names: readonly string[]): (row: Obj) => boolean {
  return (row) =>
    names.every((name) => {
      const wanted = textOr(input, name)
      return wanted === null || text(row, name) === wanted
    })
}

/** Stripe's search: `metadata['k']:'v' AND email:'x'`, equality (`:`) and negation (`-`) only. */
export function search(found: readonly Obj[], input: Obj, url: string): Obj {
  const query = text(input, 'query')
  const clauses = query.split(/\s+AND\s+/i).map((clause) => readClause(clause))
  const hits = found.filter((row) => clauses.every((passes) => passes(row))).reverse()
  const at = intOr(input, 'page') ?? 0
  const limit = limitOf(input)
  const more = hits.length > at + limit
  return {
    object: 'search_result',
    data: hits.slice(at, at + limit),
    has_more: more,
    next_page: more ? String(at + limit) : null,
    url,
  }
}

const CLAUSE = /^(-?)(\w+)(?:\[["']([^"']+)["']\])?\s*:\s*(?:"([^"]*)"|'([^']*)'|(\S+))$/

function readClause(clause: string): (row: Obj) => boolean {
  const parts = CLAUSE.exec(clause.trim())
  if (parts === null) throw invalid(`We were unable to parse your search query: ${clause}`, 'query')
  const [, not = '', field = '', key, double, single, bare] = parts
  const wanted = double ?? single ?? bare ?? ''
  return (row) => {
    const holder: Json = key === undefined ? row : (row[field] ?? null)
    const found = isObj(holder) && text(holder, key ?? field) === wanted
    return found !== (not === '-')
  }
}
