import type { SoundReader } from './protocol.ts'

export interface SoundLength {
  /** What is charged where nobody reports a length. */
  readonly seconds: number
  /** What is held. */
  readonly secondsMax: number
  /** Read from the file, and believable for its size. */
  readonly isRead: boolean
}

/** 4 kbit/s: below the slowest speech codec a provider decodes. */
const BYTES_PER_SECOND_MIN = 500
/** Speech at 16 kbit/s: stands for a length that nobody could read. */
const BYTES_PER_SECOND_LIKELY = 2_000
/** 12 Mbit/s: eight channels of 48 kHz at 32 bit. A sound of more bytes a second is no sound. */
const BYTES_PER_SECOND_MAX = 1_536_000

const milliseconds = (seconds: number): number => Math.ceil(seconds * 1_000) / 1_000

/**
 * How long a sound is by its file, without trust in what its headers say: a file of so many bytes
 * is not shorter than they take at the highest rate there is, and may be as long as they last in
 * speech. null = nobody had the time to read it.
 */
export async function soundLength(file: Buffer, sounds: SoundReader): Promise<SoundLength | null> {
  const reading = await sounds.seconds(file)
  if (reading.kind === 'not_read') return null
  const likely = milliseconds(file.length / BYTES_PER_SECOND_LIKELY)
  if (reading.kind === 'unreadable' || reading.seconds <= 0) {
    const secondsMax = milliseconds(file.length / BYTES_PER_SECOND_MIN)
    return { seconds: likely, secondsMax, isRead: false }
  }
  const seconds = milliseconds(Math.max(reading.seconds, file.length / BYTES_PER_SECOND_MAX))
  const secondsMax = reading.isExact ? seconds : Math.max(seconds, likely)
  return { seconds, secondsMax, isRead: true }
}
