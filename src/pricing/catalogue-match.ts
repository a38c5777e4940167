import type { MatchLogic, Provider, ModelInfo } from '@pydantic/genai-prices'

/**
 * One matching clause of the catalogue against a lower-case model name. Same rules as the
 * catalogue's own: text is compared without case, a regex is unanchored and takes the name as is.
 */
export function clauseMatches(clause: MatchLogic, model: string): boolean {
  if ('or' in clause) return clause.or.some((part) => clauseMatches(part, model))
  if ('and' in clause) return clause.and.every((part) => clauseMatches(part, model))
  if ('equals' in clause) return model === clause.equals.toLowerCase()
  if ('starts_with' in clause) return model.startsWith(clause.starts_with.toLowerCase())
  if ('ends_with' in clause) return model.endsWith(clause.ends_with.toLowerCase())
  if ('contains' in clause) return model.includes(clause.contains.toLowerCase())
  return new RegExp(clause.regex).test(model)
}

const COMPACT_DATE = /-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)/g

/** "-20240718" → "-2024-07-18" where it is a day of the calendar: some list snapshots that way. */
function withDashedDates(model: string): string {
  return model.replace(COMPACT_DATE, (text, year: string, month: string, day: string) => {
    const date = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)))
    return date.getUTCDate() === Number(day) ? `-${year}-${month}-${day}` : text
  })
}

export interface FoundModel {
  readonly provider: Provider
  readonly model: ModelInfo
}

function findAt(
  providers: ReadonlyMap<string, Provider>,
  provider: Provider,
  name: string,
): FoundModel | null {
  const own = provider.models.find((model) => clauseMatches(model.match, name))
  if (own !== undefined) return { provider, model: own }
  for (const id of provider.fallback_model_providers ?? []) {
    const fallback = providers.get(id)
    const found = fallback === undefined ? null : findAt(providers, fallback, name)
    if (found !== null) return found
  }
  return null
}

/**
 * The first model of a provider (then of those it resells) whose clause matches; a compact
 * snapshot date is tried with dashes last. null = not in the catalogue.
 */
export function findModel(
  providers: ReadonlyMap<string, Provider>,
  provider: Provider,
  model: string,
): FoundModel | null {
  const name = model.toLowerCase().trim()
  const found = findAt(providers, provider, name)
  if (found !== null) return found
  const dashed = withDashedDates(name)
  return dashed === name ? null : findAt(providers, provider, dashed)
}
