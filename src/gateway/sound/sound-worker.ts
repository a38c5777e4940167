import { parentPort } from 'node:worker_threads'
import { parseBuffer } from 'music-metadata'

export interface SoundRequest {
  readonly file: Uint8Array
}

export interface SoundAnswer {
  readonly seconds: number | null
}

/** 512 kbit/s: above the highest rate of MP3, AAC, Opus and Vorbis that is in use. */
const LOSSY_BYTES_PER_SECOND_MAX = 64_000

/** Headers and pictures beside the sound. */
const BESIDE_BYTES = 64 * 1024

/**
 * What the headers say, and no less than the bytes take: at the rate that the headers of plain
 * sound name, at the highest rate of any codec elsewhere. Films have a rate of their own.
 */
async function secondsOf(file: Uint8Array): Promise<number | null> {
  const { format } = await parseBuffer(file, { size: file.length }, { skipCovers: true })
  const { duration, lossless, sampleRate, numberOfChannels, bitsPerSample, hasVideo } = format
  if (duration === undefined || !Number.isFinite(duration)) return null
  if (hasVideo === true) return duration
  const plain = ((sampleRate ?? 0) * (numberOfChannels ?? 0) * (bitsPerSample ?? 0)) / 8
  const rate = lossless === true && plain > 0 ? plain : LOSSY_BYTES_PER_SECOND_MAX
  if (lossless === true && plain === 0) return duration
  return Math.max(duration, (file.length - BESIDE_BYTES) / rate)
}

parentPort?.on('message', ({ file }: SoundRequest) => {
  const answer = (seconds: number | null): void => {
    parentPort?.postMessage({ seconds } satisfies SoundAnswer)
  }
  secondsOf(file).then(answer, () => {
    answer(null)
  })
})
