import type { Clock } from '../kernel/clock.ts'
import { MODEL_LIST_MS } from '../kernel/limits/models.ts'
import type { ManagedPriceBook } from '../pricing/book.ts'
import type { ModelList } from '../gateway/models.ts'
import type { Upstreams } from '../gateway/upstreams.ts'

/** Models that have both a price and an upstream that takes them; made anew once in a while. */
export function makeModelList(deps: {
  book: Pick<ManagedPriceBook, 'list'>
  upstreams: () => Upstreams
  clock: Clock
}): ModelList {
  let kept: ReturnType<ModelList> = []
  let untilMs = -Infinity
  const make = (): ReturnType<ModelList> => {
    const upstreams = deps.upstreams()
    const found = new Map<string, string>()
    for (const listed of deps.book.list()) {
      if (listed.kind === 'sell' || listed.model.includes('*') || found.has(listed.model)) continue
      const named = upstreams.all.find((upstream) => upstream.name === listed.upstream)
      // Entries of HTTP APIs name paths, those of upstreams that are gone nothing.
      if (listed.upstream !== null && named === undefined) continue
      const candidates = named === undefined ? upstreams.all : [named]
      const serving = candidates.find(
        ({ name, protocol }) => upstreams.choose(protocol, listed.model)?.name === name,
      )
      if (serving !== undefined) found.set(listed.model, serving.name)
    }
    return [...found]
      .map(([id, upstream]) => ({ id, upstream }))
      .sort((a, b) => (a.id < b.id ? -1 : 1))
  }
  return () => {
    const nowMs = deps.clock.monotonicMs()
    if (nowMs >= untilMs) {
      kept = make()
      untilMs = nowMs + MODEL_LIST_MS
    }
    return kept
  }
}
