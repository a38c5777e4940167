import type { FormPart } from './form.ts'
import type { FormSounds } from './protocol.ts'

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
export async function soundLength(file: FormPart, sounds: FormSounds): Promise<SoundLength | null> {
  const reading = await sounds.seconds(file)
  if (reading.kind === 'not_read') return null
  const likely = milliseconds(file.bytes / BYTES_PER_SECOND_LIKELY)
  if (reading.kind === 'unreadable' || reading.seconds <= 0) {
    const secondsMax = milliseconds(file.bytes / BYTES_PER_SECOND_MIN)
    return { seconds: likely, secondsMax, isRead: false }
  }
  const seconds = milliseconds(Math.max(reading.seconds, file.bytes / BYTES_PER_SECOND_MAX))
  const secondsMax = reading.isExact ? seconds : Math.max(seconds, likely)
  return { seconds, secondsMax, isRead: true }
}

/**
 * How long a sound may at most be of which only the first bytes are there and no more than
 * `bytesMax` come: as plain sound where it is that, else as the slowest codec.
 */
export function soundBound(head: Buffer, bytesMax: number): SoundLength {
  const rate = plainRate(head)
  const secondsMax = milliseconds(bytesMax / (rate ?? BYTES_PER_SECOND_MIN))
  const likely = milliseconds(bytesMax / BYTES_PER_SECOND_LIKELY)
  return { seconds: Math.min(likely, secondsMax), secondsMax, isRead: false }
}

const PCM = 1
const FORMAT_BYTES = 16

/** Bytes a second of a WAV file of plain PCM; null = another one, or its head does not tell. */
function plainRate(head: Buffer): number | null {
  const isWav =
    head.toString('latin1', 0, 4) === 'RIFF' && head.toString('latin1', 8, 12) === 'WAVE'
  let rate: number | null = null
  for (let at = 12; isWav && at + 8 <= head.length;) {
    const [name, bytes] = [head.toString('latin1', at, at + 4), head.readUInt32LE(at + 4)]
    if (name === 'data') return rate
    if (name === 'fact') return null // of what is not plain
    const isFormat = name === 'fmt ' && bytes >= FORMAT_BYTES
    if (isFormat && at + 8 + FORMAT_BYTES <= head.length) rate = rateOf(head.subarray(at + 8))
    at += 8 + bytes + (bytes % 2)
  }
  return null
}

/** The lowest of what its fields say: another reader may go by any of them. */
function rateOf(format: Buffer): number | null {
  const [channels, samplesPerSecond] = [format.readUInt16LE(2), format.readUInt32LE(4)]
  const byBits = (channels * samplesPerSecond * format.readUInt16LE(14)) / 8
  const byBlocks = samplesPerSecond * format.readUInt16LE(12)
  const rate = Math.min(byBits, byBlocks, BYTES_PER_SECOND_MAX)
  return format.readUInt16LE(0) === PCM && rate > 0 ? rate : null
}
