/**
 * Bytes gathered as they come, where a thread can read them too. Memory for `max` of them is
 * claimed at once and taken only where it is written to, so nothing is ever copied again.
 */
export class SharedBytes {
  readonly #all: Buffer
  #size = 0

  private constructor(memory: SharedArrayBuffer) {
    this.#all = Buffer.from(memory)
  }

  /** null = there is no memory for so many. */
  static claim(max: number): SharedBytes | null {
    try {
      return new SharedBytes(new SharedArrayBuffer(max))
    } catch (error) {
      if (error instanceof RangeError) return null
      throw error
    }
  }

  get size(): number {
    return this.#size
  }

  /** Keeps what there is room for; answers whether that is all. */
  add(chunk: Uint8Array): boolean {
    const kept = chunk.subarray(0, this.#all.length - this.#size)
    this.#all.set(kept, this.#size)
    this.#size += kept.length
    return kept.length === chunk.length
  }

  /** A view of what was gathered so far. */
  bytes(): Buffer {
    return this.#all.subarray(0, this.#size)
  }
}

/** Where a thread finds the same bytes. */
export interface SharedView {
  readonly memory: SharedArrayBuffer
  readonly offset: number
  readonly length: number
}

/**
 * What a thread needs to see `bytes`; they are copied where they are not shared yet. null = there
 * is no memory for that.
 */
export function shared(bytes: Buffer): SharedView | null {
  const { buffer: memory, byteOffset: offset, length } = bytes
  if (memory instanceof SharedArrayBuffer) return { memory, offset, length }
  const copy = SharedBytes.claim(length)
  copy?.add(bytes)
  return copy && shared(copy.bytes())
}

export const seen = ({ memory, offset, length }: SharedView): Buffer =>
  Buffer.from(memory, offset, length)
