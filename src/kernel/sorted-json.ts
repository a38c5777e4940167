const sorted = (_name: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value

/** JSON text of what JSON gave, the same whatever the order of its fields. */
export const sortedJson = (value: unknown): string => JSON.stringify(value, sorted)
