/**
 * One name for the names of a model: an export writes "gpt-4o-2024-08-06, input" or "Claude Sonnet
 * 4.5" where a receipt says "gpt-4o" or "claude-sonnet-4-5-20250929". Snapshots of a model are one:
 * a name without a date does not say which of them answered.
 */
export function modelKey(name: string): string {
  const parts = name
    .toLowerCase()
    .replaceAll(/\(.*?\)/g, '')
    .replaceAll(/[^\p{L}\p{N}]+/gu, '-')
    .replaceAll(/^-+|-+$/g, '')
    .replace(/-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$/, '')
    .split('-')
  // "claude-3-5-sonnet" and "Claude Sonnet 3.5".
  const [first = '', ...rest] = parts
  return first === 'claude' ? [first, ...rest.toSorted()].join('-') : parts.join('-')
}

/** The model of a line item: what comes before its kind of token. */
export const modelOfLine = (line: string): string => line.split(',')[0]?.trim() ?? ''
