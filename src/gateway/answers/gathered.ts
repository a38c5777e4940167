import { ANSWER_METER_BYTES_MAX } from '../../kernel/limits/answers.ts'
import type { Share } from '../../kernel/room.ts'
import { SharedBytes } from '../../kernel/shared-bytes.ts'

/** A large answer where a thread can read it, as far as `share` has room for it. */
export class Gathered {
  readonly #share: Pick<Share, 'take'> | null
  #memory: SharedBytes | null = null
  #isGivenUp = false

  /** null = what bounds them is elsewhere: how many there are at once. */
  constructor(share: Pick<Share, 'take'> | null) {
    this.#share = share
  }

  /** It is too large to be metered, or there was no memory for it: never tried again. */
  get isGivenUp(): boolean {
    return this.#isGivenUp
  }

  /** The last of `parts` is new; `bytes`: how many all of them are. */
  add(parts: readonly Buffer[], bytes: number): void {
    if (this.#isGivenUp) return
    const before = this.#memory
    const added = before === null ? parts : parts.slice(-1)
    const more = added.reduce((sum, { length }) => sum + length, 0)
    const hasRoom = bytes <= ANSWER_METER_BYTES_MAX && (this.#share?.take(more) ?? null) === null
    this.#memory = hasRoom ? (before ?? SharedBytes.claim(ANSWER_METER_BYTES_MAX)) : null
    this.#isGivenUp = this.#memory === null
    for (const part of added) this.#memory?.add(part)
  }

  /** null = given up, or nothing came. */
  bytes(): Buffer | null {
    return this.#memory?.bytes() ?? null
  }
}
