import type { TiktokenEncoding } from 'tiktoken'

/** Models of the older vocabularies, by the start of their name; everything else is o200k. */
const OLDER: readonly (readonly [start: string, encoding: TiktokenEncoding])[] = [
  ['gpt-4o', 'o200k_base'],
  ['gpt-4.', 'o200k_base'],
  ['gpt-4', 'cl100k_base'],
  ['gpt-3.5', 'cl100k_base'],
  ['gpt-35', 'cl100k_base'],
  ['text-embedding-', 'cl100k_base'],
  ['davinci-002', 'cl100k_base'],
  ['babbage-002', 'cl100k_base'],
  ['ft:gpt-4o', 'o200k_base'],
  ['ft:gpt-4.', 'o200k_base'],
  ['ft:gpt-4', 'cl100k_base'],
  ['ft:gpt-3.5', 'cl100k_base'],
]

/**
 * The vocabulary a model counts with. Models of other providers have none that is public: the
 * count by o200k is close, never billing-grade. Source: providers.md §4.
 */
export function encodingFor(model: string): TiktokenEncoding {
  return OLDER.find(([start]) => model.startsWith(start))?.[1] ?? 'o200k_base'
}
