import type { Bucket, Limits } from './state.ts'

/**
 * Token buckets in units of 1/60000: a limit of n a minute refills n units a ms, holds 60000 n and
 * gives one request or token for 60000. So refill and retry-after are exact in whole numbers.
 */
export const UNIT = 60_000

export const full = (limit: number): number => limit * UNIT

export function levelAt(bucket: Bucket, nowMs: number): number {
  if (nowMs <= bucket.atMs) return bucket.level
  return Math.min(full(bucket.limit), bucket.level + (nowMs - bucket.atMs) * bucket.limit)
}

/**
 * Where the clock went back, buckets fill from now on: else they would stay as they are until the
 * clock has caught up.
 */
export function anchor({ requests, tokens }: Limits, nowMs: number): void {
  for (const bucket of [requests, tokens]) {
    if (bucket !== null && nowMs < bucket.atMs) bucket.atMs = nowMs
  }
}

/** Ms until `units` are there. */
export const waitMs = (bucket: Bucket, level: number, units: number): number =>
  Math.ceil((units - level) / bucket.limit)

/** As many of the tokens asked for as a limit takes. */
export const within = ({ limit }: Bucket, tokens: number): number =>
  Math.max(-limit, Math.min(limit, tokens))

/** Corrects tokens already taken: never above full, never deeper than one minute below empty. */
export function correct(bucket: Bucket, by: number): void {
  const most = full(bucket.limit)
  bucket.level = Math.max(-most, Math.min(most, bucket.level + by * UNIT))
}

/** Gives a request back. */
export function uncount(bucket: Bucket | null | undefined): void {
  if (bucket) bucket.level = Math.min(full(bucket.limit), bucket.level + UNIT)
}
