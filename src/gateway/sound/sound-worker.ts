import { parentPort } from 'node:worker_threads'
import { parseBuffer } from 'music-metadata'
import type { ThreadMessage } from '../../kernel/thread.ts'
import type { SoundReading } from '../../protocols/protocol.ts'

export interface SoundRequest {
  readonly file: Uint8Array
}

type SoundMessage = ThreadMessage<SoundReading>

/** 512 kbit/s: above the highest rate of MP3, AAC, Opus and Vorbis that is in use. */
const LOSSY_BYTES_PER_SECOND_MAX = 64_000
/** FLAC of two channels of 48 kHz at 16 bit that cannot be made smaller. */
const PACKED_BYTES_PER_SECOND_MAX = 192_000

/** Headers and pictures beside the sound. */
const BESIDE_BYTES = 64 * 1024

/**
 * What the headers say, and no less than the bytes take: at the rate that the headers of plain
 * sound name, which its decoder goes by; elsewhere at the highest rate of any codec in use,
 * whatever they name. Films too: that a track is one of pictures is also but what a header says.
 */
async function readingOf(file: Uint8Array): Promise<SoundReading> {
  const { format } = await parseBuffer(file, { size: file.length }, { skipCovers: true })
  const { duration, lossless, sampleRate, numberOfChannels, bitsPerSample, hasVideo } = format
  if (duration === undefined || !Number.isFinite(duration)) return { kind: 'unreadable' }
  const plain = ((sampleRate ?? 0) * (numberOfChannels ?? 0) * (bitsPerSample ?? 0)) / 8
  const isLossless = lossless === true && plain > 0 && hasVideo !== true
  const isExact = isLossless && format.codec === 'PCM'
  const packed = Math.min(plain, PACKED_BYTES_PER_SECOND_MAX)
  const lossy = isLossless ? packed : LOSSY_BYTES_PER_SECOND_MAX
  const least = (file.length - BESIDE_BYTES) / (isExact ? plain : lossy)
  return { kind: 'read', seconds: Math.max(duration, least), isExact }
}

parentPort?.on('message', ({ file }: SoundRequest) => {
  const tell = (answer: SoundReading): void => {
    parentPort?.postMessage({ kind: 'answer', answer } satisfies SoundMessage)
  }
  readingOf(file).then(tell, () => {
    tell({ kind: 'unreadable' })
  })
})
parentPort?.postMessage({ kind: 'ready' } satisfies SoundMessage)
