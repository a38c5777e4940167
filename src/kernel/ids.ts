import { randomBytes, randomFillSync } from 'node:crypto'
import { v7 } from 'uuid'
import type { Clock } from './clock.ts'

/** Identifiers and randomness as an argument, so that the simulator can own them. */
export interface Ids {
  /** UUIDv7, lower case with dashes: holds (= request ids), lots, findings. Sorts by creation. */
  uuid(): string
  /** `bytes` random bytes in base64url, for secrets and names. */
  secret(bytes: number): string
}

const UUID_BYTES = 16
/** Drawn at once: a draw of its own for every request is a measurable part of its cost. */
const POOL_BYTES = 256 * UUID_BYTES

/** Hands out random bytes, each once. */
function makePool(): () => Uint8Array {
  const pool = Buffer.alloc(POOL_BYTES)
  let at = POOL_BYTES
  return () => {
    if (at === POOL_BYTES) {
      randomFillSync(pool)
      at = 0
    }
    at += UUID_BYTES
    return pool.subarray(at - UUID_BYTES, at)
  }
}

const textOf = (hex: string): string =>
  `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}` +
  `-${hex.slice(16, 20)}-${hex.slice(20)}`

/** Ids of one process rise, also within a millisecond and when its clock goes back. */
export function makeIds(clock: Pick<Clock, 'now'>): Ids {
  const next = makePool()
  const bytes = Buffer.alloc(UUID_BYTES)
  let msecs = 0
  let seq = 0
  return {
    uuid() {
      const random = next()
      const now = clock.now()
      seq += 1
      if (now > msecs || seq > 0xffff_ffff) {
        msecs = Math.max(now, msecs + 1)
        seq = Buffer.from(random).readUInt32BE(0) >>> 1 // room to count up in this millisecond
      }
      return textOf(v7({ msecs, seq, random }, bytes).toString('hex'))
    },
    secret: (bytes) => randomBytes(bytes).toString('base64url'),
  }
}
