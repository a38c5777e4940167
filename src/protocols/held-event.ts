import { LOOP_BYTES_MAX } from '../kernel/limits/requests.ts'
import { Condensed } from './condensed.ts'
import { HeldBytes } from './held-bytes.ts'

/**
 * The bytes of an event that is not complete yet, and what is to be read of it: all of it, or, of a
 * large one, what is left without its long strings.
 */
export class HeldEvent {
  readonly #held = new HeldBytes()
  #condensed: Condensed | null = null

  /** Bytes held. */
  get size(): number {
    return this.#held.size
  }

  /** false = it is held, but there is too much in it to be read: it is to be taken. */
  add(piece: Buffer): boolean {
    const isLarge = this.size + piece.length > LOOP_BYTES_MAX
    const mayBeRead = !isLarge || this.#condense(piece)
    this.#held.add(piece)
    return mayBeRead
  }

  /** What is to be read of the event that ends with `last`; null = there is too much of it. */
  whole(last: Buffer): Buffer | null {
    if (this.size + last.length > LOOP_BYTES_MAX) {
      return this.#condense(last) ? (this.#condensed?.take() ?? null) : null
    }
    return this.size === 0 ? last : Buffer.concat([...this.#held.pieces(), last])
  }

  /** Hands over the pieces in their order and is empty after. */
  take(): Buffer[] {
    this.#condensed = null
    return this.#held.take()
  }

  #condense(piece: Buffer): boolean {
    if (this.#condensed === null) {
      this.#condensed = new Condensed()
      for (const earlier of this.#held.pieces()) this.#condensed.add(earlier)
    }
    return this.#condensed.add(piece)
  }
}
