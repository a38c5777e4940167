import { vi } from 'vitest'

/** No memory is left for bodies that threads read, until `vi.unstubAllGlobals()`. */
export function withoutMemory(): void {
  vi.stubGlobal('SharedArrayBuffer', function none(): never {
    throw new RangeError('Array buffer allocation failed')
  })
}
