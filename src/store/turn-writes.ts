import type { Duplex } from 'node:stream'

/**
 * Lets all that is written to `stream` in this turn of the event loop leave in one write: each
 * write costs a system call here and wakes the server there. Call it before writing.
 */
export function gatherWrites(stream: Duplex): void {
  if (stream.writableCorked > 0) return
  stream.cork()
  process.nextTick(() => {
    stream.uncork()
  })
}
