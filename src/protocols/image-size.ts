/** Pixels. */
export interface ImageSize {
  readonly width: number
  readonly height: number
}

/**
 * Dimensions from the head of a PNG, JPEG, GIF or WebP, told by its bytes whatever it claims to
 * be. null = another format, damaged, or the head was cut before them.
 */
export function imageSize(head: Buffer): ImageSize | null {
  const size = readPng(head) ?? readGif(head) ?? readWebp(head) ?? readJpeg(head)
  return size === null || size.width === 0 || size.height === 0 ? null : size
}

const asText = (head: Buffer, start: number, end: number): string =>
  head.toString('latin1', start, end)

function readPng(head: Buffer): ImageSize | null {
  if (head.length < 24 || asText(head, 1, 4) !== 'PNG' || asText(head, 12, 16) !== 'IHDR') {
    return null
  }
  return { width: head.readUInt32BE(16), height: head.readUInt32BE(20) }
}

function readGif(head: Buffer): ImageSize | null {
  if (head.length < 10 || asText(head, 0, 4) !== 'GIF8') return null
  return { width: head.readUInt16LE(6), height: head.readUInt16LE(8) }
}

function readWebp(head: Buffer): ImageSize | null {
  if (head.length < 30 || asText(head, 0, 4) !== 'RIFF' || asText(head, 8, 12) !== 'WEBP') {
    return null
  }
  switch (asText(head, 12, 16)) {
    case 'VP8X':
      return { width: head.readUIntLE(24, 3) + 1, height: head.readUIntLE(27, 3) + 1 }
    case 'VP8L': {
      const bits = head.readUInt32LE(21)
      return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 }
    }
    case 'VP8 ':
      return { width: head.readUInt16LE(26) & 0x3fff, height: head.readUInt16LE(28) & 0x3fff }
    default:
      return null
  }
}

/** Start-of-frame markers carry the size; C4, C8 and CC in their range mean something else. */
const isFrame = (marker: number): boolean =>
  marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc

function readJpeg(head: Buffer): ImageSize | null {
  if (head.length < 4 || head[0] !== 0xff || head[1] !== 0xd8) return null
  let at = 2
  while (at + 9 <= head.length) {
    if (head[at] !== 0xff) return null
    const marker = head[at + 1] ?? 0
    if (marker === 0xff) {
      at += 1 // fill byte
    } else if (isFrame(marker)) {
      return { width: head.readUInt16BE(at + 7), height: head.readUInt16BE(at + 5) }
    } else {
      at += 2 + head.readUInt16BE(at + 2)
    }
  }
  return null
}
