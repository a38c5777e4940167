import { boundaryOf } from './form-parts.ts'

/** Takes a body as it comes; `end` tells that it is over. */
export interface Pieces {
  push(chunk: Buffer): void
  end(): void
}

const SEPARATOR = Buffer.from('--')

/**
 * Passes on the bytes of a body without its boundaries, which a client draws anew for each try: two
 * tries of one form are alike in these, however they are cut. A body that is no form passes as it
 * is. Linear in the body.
 */
export function makePieces(contentType: string | undefined, take: (piece: Buffer) => void): Pieces {
  const boundary = /^multipart\//i.test(contentType ?? '') ? boundaryOf(contentType ?? '') : null
  if (typeof boundary !== 'string') return { push: take, end: () => undefined }
  const delimiter = Buffer.from(`--${boundary}`)
  let rest = Buffer.alloc(0) // may begin a delimiter
  return {
    push(chunk) {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      let from = 0
      for (let at = bytes.indexOf(delimiter); at !== -1; at = bytes.indexOf(delimiter, from)) {
        take(bytes.subarray(from, at))
        take(SEPARATOR)
        from = at + delimiter.length
      }
      const keepFrom = Math.max(from, bytes.length - delimiter.length + 1)
      take(bytes.subarray(from, keepFrom))
      rest = Buffer.from(bytes.subarray(keepFrom))
    },
    end() {
      take(rest)
    },
  }
}
