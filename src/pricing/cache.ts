/**
 * A bounded map that forgets what was not asked for lately, at O(1) a look-up: two generations,
 * the older of which is dropped when the younger is full. Holds at most `max` entries.
 */
export interface GenerationCache<Value> {
  get(key: string): Value | undefined
  set(key: string, value: Value): void
  clear(): void
  readonly size: number
}

export function makeGenerationCache<Value>(max: number): GenerationCache<Value> {
  const half = Math.max(1, Math.floor(max / 2))
  let young = new Map<string, Value>()
  let old = new Map<string, Value>()

  function set(key: string, value: Value): void {
    if (young.size >= half && !young.has(key)) {
      old = young
      young = new Map()
    }
    old.delete(key)
    young.set(key, value)
  }

  return {
    set,
    get(key) {
      const value = young.get(key)
      if (value !== undefined) return value
      const older = old.get(key)
      if (older !== undefined) set(key, older)
      return older
    },
    clear() {
      young.clear()
      old.clear()
    },
    get size() {
      return young.size + old.size
    },
  }
}
