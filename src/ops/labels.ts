import { LABEL_VALUES_MAX } from '../kernel/limits/processes.ts'

/**
 * Bounds the values of each label, so that no caller can make a time series of his own: past the
 * bound they are all "other". An empty value is "none".
 */
export function makeLabelCap(): (label: string, value: string) => string {
  const seen = new Map<string, Set<string>>()
  return (label, value) => {
    if (value === '') return 'none'
    const values = seen.get(label) ?? new Set()
    seen.set(label, values)
    if (values.has(value)) return value
    if (values.size >= LABEL_VALUES_MAX) return 'other'
    values.add(value)
    return value
  }
}
