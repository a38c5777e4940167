import { randomBytes } from 'node:crypto'
import { v7 } from 'uuid'
import type { Clock } from './clock.ts'

/** Identifiers and randomness as an argument, so that the simulator can own them. */
export interface Ids {
  /** UUIDv7, lower case with dashes: holds (= request ids), lots, findings. Sorts by creation. */
  uuid(): string
  /** `bytes` random bytes in base64url, for secrets and names. */
  secret(bytes: number): string
}

export function makeIds(clock: Clock): Ids {
  return {
    uuid: () => v7({ msecs: clock.now() }),
    secret: (bytes) => randomBytes(bytes).toString('base64url'),
  }
}
