/** Pieces below this are copied together: an object per byte costs more than the copy. */
const SMALL_BYTES = 512
/** Blocks that small pieces are copied into: double as the event grows, up to this. */
const BLOCK_BYTES_MAX = 64 * 1024

/**
 * The bytes of an event that is not complete yet. Large pieces are kept as they came, small ones
 * copied once into blocks, so that an event of n bytes costs O(n) whatever its pieces.
 */
export class HeldBytes {
  private done: Buffer[] = []
  private block: Buffer | null = null
  private blockUsed = 0
  /** Bytes held. */
  size = 0

  add(piece: Buffer): void {
    if (piece.length === 0) return
    if (this.size === 0 || piece.length >= SMALL_BYTES) {
      this.closeBlock()
      this.done.push(piece)
    } else {
      this.copy(piece)
    }
    this.size += piece.length
  }

  /** A view of them in their order. */
  pieces(): readonly Buffer[] {
    if (this.block === null) return this.done
    return [...this.done, this.block.subarray(0, this.blockUsed)]
  }

  /** Hands over the pieces in their order and is empty after. */
  take(): Buffer[] {
    this.closeBlock()
    const pieces = this.done
    this.done = []
    this.size = 0
    return pieces
  }

  private copy(piece: Buffer): void {
    if (this.block === null || this.block.length - this.blockUsed < piece.length) {
      this.closeBlock()
      this.block = Buffer.allocUnsafe(Math.min(Math.max(this.size, SMALL_BYTES), BLOCK_BYTES_MAX))
      this.blockUsed = 0
    }
    this.blockUsed += piece.copy(this.block, this.blockUsed)
  }

  private closeBlock(): void {
    if (this.block !== null) this.done.push(this.block.subarray(0, this.blockUsed))
    this.block = null
  }
}
