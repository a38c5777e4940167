import type { ServerResponse } from 'node:http'
import type { Clock } from '../../kernel/clock.ts'
import { CLIENT_STALL_MS_MAX } from '../../kernel/limits/answers.ts'
import { rows } from '../../kernel/rows.ts'
import type { Flow } from '../forward.ts'

/** The client's end of a stream: backpressure, and the moment it leaves. */
export interface ClientSide {
  /** Writes in order; does nothing once the client is gone, or behind its end. */
  write(parts: readonly Buffer[]): void
  end(): void
  readonly gone: boolean
}

/**
 * Couples a client to an upstream's flow: a full socket pauses the upstream; a client that takes
 * nothing for CLIENT_STALL_MS_MAX counts as gone. `left` is called once, if it leaves early or had
 * left before: behind what was read from the upstream by then, which is still to be metered.
 */
export function makeClientSide(
  out: ServerResponse,
  flow: Flow,
  clock: Clock,
  left: () => void,
): ClientSide {
  let gone = out.destroyed
  let ended = false
  let cancelStall: (() => void) | null = null
  const flowing = (): void => {
    cancelStall?.()
    cancelStall = null
    flow.resume()
  }
  out.on('drain', flowing)
  out.on('close', () => {
    const early = !ended && !gone
    gone = true
    flowing()
    if (early) rows.answers(left)
  })
  if (gone) rows.answers(left)
  return {
    get gone() {
      return gone
    },
    write(parts) {
      for (const part of parts) {
        if (gone || ended || part.length === 0) continue
        if (out.write(part) || cancelStall !== null) continue
        flow.pause()
        cancelStall = clock.after(CLIENT_STALL_MS_MAX, () => out.destroy())
      }
    },
    end() {
      if (ended) return
      ended = true
      if (!gone) out.end()
    },
  }
}
