/**
 * The first and the last bytes of something too large to be kept. Linear in the bytes, whatever
 * the pieces.
 */
export class ByteEnds {
  readonly #headMax: number
  readonly #tailMax: number
  readonly #head: Buffer[] = []
  #headBytes = 0
  /** Twice the tail: what leaves it is moved out once per `tailMax` bytes. */
  #last: Buffer | null = null
  #used = 0
  #size = 0

  constructor(headMax: number, tailMax: number) {
    this.#headMax = headMax
    this.#tailMax = tailMax
  }

  /** Bytes added. */
  get size(): number {
    return this.#size
  }

  add(piece: Buffer): void {
    this.#size += piece.length
    if (this.#headBytes < this.#headMax) {
      const first = Buffer.from(piece.subarray(0, this.#headMax - this.#headBytes))
      this.#head.push(first)
      this.#headBytes += first.length
    }
    const last = (this.#last ??= Buffer.allocUnsafe(2 * this.#tailMax))
    const kept = piece.subarray(Math.max(0, piece.length - this.#tailMax))
    if (this.#used + kept.length > last.length) {
      const from = Math.max(0, this.#used - this.#tailMax)
      last.copyWithin(0, from, this.#used)
      this.#used -= from
    }
    this.#used += kept.copy(last, this.#used)
  }

  head(): Buffer {
    return Buffer.concat(this.#head)
  }

  tail(): Buffer {
    return this.#last?.subarray(Math.max(0, this.#used - this.#tailMax), this.#used) ?? NO_BYTES
  }
}

const NO_BYTES = Buffer.alloc(0)
