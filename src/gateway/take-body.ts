import type { IncomingMessage } from 'node:http'
import { refuse, type Refusal } from '../kernel/errors.ts'
import {
  BODY_PIECE_BYTES,
  LOOP_BYTES_MAX,
  ONE_PIECE_BYTES_MAX,
  TAKEN_TURN_BYTES,
} from '../kernel/limits/requests.ts'
import type { NoRoom, Share } from '../kernel/room.ts'
import { SharedBytes } from '../kernel/shared-bytes.ts'

export const tooLarge = (bytesMax: number): Refusal =>
  refuse('request_too_large', `Bodies may have up to ${bytesMax} bytes here.`)
export const ENDED_EARLY = refuse('request_timeout', 'The body ended before its declared length.')
const FULL = refuse('gateway_unavailable', 'Too many bodies are under way. Try again.')
const SHARE_FULL = refuse(
  'rate_limit_exceeded',
  'Too many bodies of this account are under way. Try again when some have ended.',
)

/** Why a body is not kept. */
const tooMany = (none: NoRoom): Refusal => (none === 'own' ? SHARE_FULL : FULL)

/** Whether a piece is a whole body, and short. */
const isShort = ({ length }: Buffer, declared: number): boolean =>
  length === declared && length <= ONE_PIECE_BYTES_MAX

/**
 * Takes a body as it comes: a small one is one buffer, a large one is gathered where a thread can
 * read it, so that it is never copied whole. All but what is short and comes in one piece counts
 * in `share`. Tells it once, or why it could not be taken.
 */
export function takeBody(
  payload: IncomingMessage,
  { share, bytesMax }: { readonly share: Share; readonly bytesMax: number },
  done: (body: Buffer | Refusal) => void,
): void {
  const declared = Number(payload.headers['content-length'] ?? NaN)
  if (payload.destroyed || declared > bytesMax) {
    // Of one whose client left before nothing more is told.
    done(payload.destroyed ? ENDED_EARLY : tooLarge(bytesMax))
    return
  }
  const chunks: Buffer[] = []
  let size = 0
  let large: SharedBytes | null = null
  let turnFrom = 0
  let isOver = false

  const end = (body: Buffer | Refusal): void => {
    isOver = true
    payload.off('data', take).off('end', finish).off('error', fail)
    done(body)
  }
  const gather = (chunk: Buffer): void => {
    if (large === null) {
      large = SharedBytes.claim(Number.isNaN(declared) ? bytesMax : declared)
      if (large === null) {
        end(FULL)
        return
      }
      for (const earlier of chunks.splice(0)) large.add(earlier)
    }
    large.add(chunk)
    if (large.size - turnFrom < TAKEN_TURN_BYTES) return
    turnFrom = large.size
    payload.pause()
    setImmediate(() => {
      if (!isOver) payload.resume()
    })
  }
  function take(chunk: Buffer): void {
    size += chunk.length
    const none = isShort(chunk, declared) ? null : share.take(chunk.length + BODY_PIECE_BYTES)
    if (size > bytesMax) end(tooLarge(bytesMax))
    else if (none !== null) end(tooMany(none))
    else if (size > LOOP_BYTES_MAX) gather(chunk)
    else chunks.push(chunk)
  }
  function finish(): void {
    if (!Number.isNaN(declared) && size !== declared) {
      end(ENDED_EARLY)
    } else end(large?.bytes() ?? Buffer.concat(chunks, size))
  }
  function fail(): void {
    end(ENDED_EARLY)
  }
  payload.on('data', take).on('end', finish).on('error', fail)
  payload.resume()
}
