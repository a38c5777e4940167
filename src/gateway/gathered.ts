import { ANSWER_METER_BYTES_MAX } from '../kernel/limits.ts'
import { SharedBytes } from '../kernel/shared-bytes.ts'

/** A large answer where a thread can read it. */
export class Gathered {
  #memory: SharedBytes | null = null
  #isGivenUp = false

  /** It is too large to be metered, or there was no memory for it: never tried again. */
  get isGivenUp(): boolean {
    return this.#isGivenUp
  }

  /** The last of `parts` is new; `bytes`: how many all of them are. */
  add(parts: readonly Buffer[], bytes: number): void {
    if (this.#isGivenUp) return
    const before = this.#memory
    const hasRoom = bytes <= ANSWER_METER_BYTES_MAX
    this.#memory = hasRoom ? (before ?? SharedBytes.claim(ANSWER_METER_BYTES_MAX)) : null
    this.#isGivenUp = this.#memory === null
    for (const part of before === null ? parts : parts.slice(-1)) this.#memory?.add(part)
  }

  /** null = given up, or nothing came. */
  bytes(): Buffer | null {
    return this.#memory?.bytes() ?? null
  }
}
