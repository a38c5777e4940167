import type { Flow } from '../forward.ts'

/** Gives each that steers one flow a flow of its own: it runs while none of them holds it back. */
export function makeGates(flow: Flow): () => Flow {
  const holding = new Set<object>()
  return () => {
    const self = {}
    return {
      pause: () => {
        holding.add(self)
        flow.pause()
      },
      resume: () => {
        holding.delete(self)
        if (holding.size === 0) flow.resume()
      },
      abort: flow.abort,
    }
  }
}
