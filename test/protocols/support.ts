import type {
  MeterReport,
  RequestView,
  StreamTap,
  TapOutput,
} from '../../src/protocols/protocol.ts'

/** Everything a tap gave out for `bytes` fed in pieces that end at `cuts` (ascending offsets). */
export interface Fed {
  readonly pass: Buffer
  readonly final: Buffer
  readonly report: MeterReport
}

export function feed(tap: StreamTap, bytes: Buffer, cuts: Iterable<number>): Fed {
  const pass: Buffer[] = []
  const final: Buffer[] = []
  const take = (output: TapOutput): void => {
    pass.push(...output.pass)
    final.push(...output.final)
  }
  let from = 0
  for (const to of cuts) {
    take(tap.push(bytes.subarray(from, to)))
    from = to
  }
  take(tap.push(bytes.subarray(from)))
  take(tap.end())
  return { pass: Buffer.concat(pass), final: Buffer.concat(final), report: tap.report() }
}

export const everyByte = (bytes: Buffer): number[] =>
  Array.from({ length: bytes.length }, (_, at) => at + 1)

/** Deterministic pseudo-random cuts (mulberry32), pieces of 1 … `most` bytes. */
export function randomCuts(bytes: Buffer, seed: number, most: number): number[] {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const cuts: number[] = []
  for (
    let at = 1 + Math.floor(next() * most);
    at < bytes.length;
    at += 1 + Math.floor(next() * most)
  )
    cuts.push(at)
  return cuts
}

/**
 * The least CPU time of several runs, in milliseconds: what other processes take of the machine
 * does not count.
 */
export function bestMs(runs: number, work: () => void): number {
  let best = Infinity
  for (let run = 0; run < runs; run += 1) {
    const before = process.threadCpuUsage()
    work()
    const { user, system } = process.threadCpuUsage(before)
    best = Math.min(best, (user + system) / 1_000)
  }
  return best
}

/** The text of a request that was read right here. */
export function inputTextOf(view: RequestView): readonly string[] {
  const texts = view.inputText()
  if (texts instanceof Promise) throw new Error('it was read elsewhere')
  return texts
}
