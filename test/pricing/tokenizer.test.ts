import fc from 'fast-check'
import { get_encoding, type TiktokenEncoding } from 'tiktoken'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/kernel/clock.ts'
import { TOKENIZER_QUEUE_CHARS_MAX, TOKENIZER_QUEUE_MAX } from '../../src/kernel/limits/models.ts'
import { encodingFor } from '../../src/pricing/encodings.ts'
import { estimateTokens, runEnd } from '../../src/pricing/token-runs.ts'
import {
  makeTokenizer,
  type Tokenizer,
  type TokenizerOptions,
} from '../../src/pricing/tokenizer.ts'
import { makeManualClock } from '../ledger/memory-clock.ts'

const open: Tokenizer[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((tokenizer) => tokenizer.close()))
})

/** Waits long, so that a slow machine does not turn counts into null. */
function tokenizer(options: Partial<TokenizerOptions> = {}): Tokenizer {
  const made = makeTokenizer({
    clock: systemClock,
    waitMsMax: 60_000,
    sliceMsMax: 60_000,
    ...options,
  })
  open.push(made)
  return made
}

const STUCK = new URL('./fixtures/stuck-worker.ts', import.meta.url)

const PROSE = `The gateway reserves credits before a request leaves, and settles them after.
It doesn't guess: "usage" is read from the answer, e.g. prompt_tokens=1234; cache reads included.
\tconst total = items.map((x) => x.price * 3).reduce((a, b) => a + b, 0)\n\n\n
Zażółć gęślą jaźń. Привет, мир! こんにちは、世界。今日はいい天気ですね，我们去公园吧。`

const encodings = new Map<TiktokenEncoding, ReturnType<typeof get_encoding>>()
afterAll(() => {
  for (const encoding of encodings.values()) encoding.free()
})
function direct(text: string, name: TiktokenEncoding = 'o200k_base'): number {
  const encoding = encodings.get(name) ?? get_encoding(name)
  encodings.set(name, encoding)
  return encoding.encode_ordinary(text).length
}

describe('counting', () => {
  it('equals tiktoken’s own count on normal text, short and long', async () => {
    const counter = tokenizer()
    const long = Array.from({ length: 400 }, (_, i) => `${i}: ${PROSE}`).join('\n')
    expect(await counter.count([PROSE], 'gpt-4o')).toBe(direct(PROSE))
    expect(await counter.count([long], 'gpt-5')).toBe(direct(long))
    expect(await counter.count([long], 'gpt-4-0613')).toBe(direct(long, 'cl100k_base'))
    expect(await counter.count([PROSE, '', long], 'claude-opus-5')).toBe(
      direct(PROSE) + direct(long),
    )
  })

  it('takes special tokens in a text for text', async () => {
    const text = 'ignore <|endoftext|> and <|im_start|>'
    expect(await tokenizer().count([text], 'gpt-4o')).toBe(direct(text))
  })

  it('needs no thread for nothing', async () => {
    const counter = tokenizer({ workerUrl: new URL('file:///no/such/worker.ts') })
    expect(await counter.count([], 'gpt-4o')).toBe(0)
    expect(await counter.count(['', ''], 'gpt-4o')).toBe(0)
  })

  it('counts text on which tiktoken is quadratic', async () => {
    const counter = tokenizer()
    const cjk = await counter.count(['我'.repeat(50_000)], 'gpt-4o')
    expect(cjk).toBeGreaterThanOrEqual(25_000)
    expect(cjk).toBeLessThanOrEqual(55_000)
    const letters = await counter.count(['a'.repeat(50_000)], 'gpt-4o')
    expect(letters).toBeGreaterThan(5_000)
    expect(letters).toBeLessThan(7_500)
  })

  it('counts 5 MB', async () => {
    const piece = `${PROSE} `
    const text = piece.repeat(Math.ceil((5 * 1024 * 1024) / piece.length))
    const tokens = await tokenizer().count([text], 'gpt-4o')
    const each = direct(piece.repeat(100)) / 100
    expect(tokens).toBeGreaterThan(each * (text.length / piece.length) * 0.999)
    expect(tokens).toBeLessThan(each * (text.length / piece.length) * 1.001)
  })

  it('never cuts a surrogate pair', async () => {
    const emoji = '👩🏽‍🚀'.repeat(2_000)
    const tokens = await tokenizer().count([`x${emoji}`], 'gpt-4o')
    // A torn pair would be two replacement characters of three bytes each.
    expect(tokens).toBeLessThanOrEqual(direct(`x${'👩🏽‍🚀'.repeat(100)}`) * 20 + 100)
    expect(tokens).toBeGreaterThan(2_000)
  })
})

describe('cutting', () => {
  const cut = (text: string, charsMax: number): string[] => {
    const runs: string[] = []
    for (let from = 0; from < text.length;) {
      const to = runEnd(text, from, charsMax)
      runs.push(text.slice(from, to))
      from = to
    }
    return runs
  }

  it('keeps all text, in runs within the limit, pairs whole', () => {
    const texts = fc.string({ unit: 'grapheme', maxLength: 400 })
    fc.assert(
      fc.property(texts, fc.integer({ min: 2, max: 50 }), (text, charsMax) => {
        const runs = cut(text, charsMax)
        expect(runs.join('')).toBe(text)
        for (const run of runs) {
          expect(run.length).toBeGreaterThan(0)
          expect(run.length).toBeLessThanOrEqual(charsMax)
          expect(run.isWellFormed()).toBe(text.isWellFormed())
        }
      }),
    )
  })

  it('at seams changes no count, in both vocabularies', () => {
    const word = fc.constantFrom(
      "it's",
      'HTTPServer',
      'naïve',
      'e.g',
      '東京',
      'foo_bar',
      'x1',
      '42',
    )
    const gap = fc.constantFrom(' ', '. ', ', ', '\n', '  ', '\n\n  ', '，', '; ', '-', '\t')
    const texts = fc
      .array(fc.tuple(word, gap), { minLength: 30, maxLength: 60 })
      .map((pairs) => pairs.flat().join(''))
    fc.assert(
      fc.property(texts, (text) => {
        for (const name of ['o200k_base', 'cl100k_base'] as const) {
          const seams = cut(text, 60)
          const isHard = seams.slice(0, -1).some((run) => run.length === 60)
          fc.pre(!isHard)
          expect(seams.reduce((sum, run) => sum + direct(run, name), 0)).toBe(direct(text, name))
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('the thread', () => {
  it('is replaced when it is stuck; what was with it is not counted, the rest is', async () => {
    const clock = makeManualClock(0) // a thread that starts slowly is not stuck
    const counter = tokenizer({ clock, workerUrl: STUCK, sliceMsMax: 300 })
    const stuck = counter.count(['stuck'], 'm')
    const next = counter.count(['four'], 'm')
    await clock.pass(300)
    expect(await stuck).toBeNull()
    expect(await next).toBe(4)
  })

  it('is replaced when it dies', async () => {
    const counter = tokenizer({ workerUrl: STUCK })
    expect(await counter.count(['die'], 'm')).toBeNull()
    expect(await counter.count(['four'], 'm')).toBe(4)
  })

  it('is not waited for longer than allowed', async () => {
    const clock = makeManualClock(0)
    const counter = tokenizer({ clock, workerUrl: STUCK, waitMsMax: 50, startMsMax: 500 })
    expect(await counter.count(['four'], 'm')).toBe(4)
    const [stuck, behind] = [counter.count(['stuck'], 'm'), counter.count(['b'], 'm')]
    await clock.pass(50)
    expect(await Promise.all([stuck, behind])).toEqual([null, null])
  })

  it('is waited for longer while it starts, and again where another takes its place', async () => {
    const clock = makeManualClock(0)
    const limits = { waitMsMax: 50, startMsMax: 500, sliceMsMax: 800 }
    const counter = tokenizer({ clock, workerUrl: STUCK, ...limits })
    const settled: string[] = []
    const count = (text: string) =>
      counter.count([text], 'm').then((tokens) => settled.push(`${text} ${String(tokens)}`))
    const first = count('stuck')
    await clock.pass(499)
    expect(settled).toEqual([])
    await clock.pass(1)
    await first
    expect(settled).toEqual(['stuck null'])
    await clock.pass(300) // it is replaced
    const second = count('stuck again')
    await clock.pass(499)
    expect(settled).toHaveLength(1)
    await clock.pass(1)
    await second
    await clock.pass(300)
    const third = count('third')
    await clock.pass(499)
    await third
    expect(settled).toEqual(['stuck null', 'stuck again null', 'third 5'])
  })

  it('serves short texts between the slices of a long one', async () => {
    const counter = tokenizer({ workerUrl: STUCK })
    const order: string[] = []
    const long = counter.count(['ab '.repeat(500_000)], 'm').then(() => order.push('long'))
    const short = counter.count(['short'], 'm').then(() => order.push('short'))
    await Promise.all([long, short])
    expect(order).toEqual(['short', 'long'])
  })

  it('answers null past its queue, in number and in size, and after it was closed', async () => {
    const counter = tokenizer({ workerUrl: STUCK })
    const waiting = Array.from({ length: TOKENIZER_QUEUE_MAX + 1 }, () => counter.count(['a'], 'm'))
    expect(await counter.count(['a'], 'm')).toBeNull()
    expect(await Promise.all(waiting)).toEqual(waiting.map(() => 1))
    const big = 'a'.repeat(1024 * 1024)
    const texts = Array.from({ length: TOKENIZER_QUEUE_CHARS_MAX / big.length + 1 }, () => big)
    expect(await counter.count(texts, 'm')).toBeNull()
    const held = counter.count(['stuck'], 'm')
    const behind = counter.count(['a'], 'm')
    await counter.close()
    expect(await Promise.all([held, behind, counter.count(['a'], 'm')])).toEqual([null, null, null])
  })
})

describe('vocabularies', () => {
  it.each([
    ['gpt-4o-mini-2024-07-18', 'o200k_base'],
    ['gpt-4.1', 'o200k_base'],
    ['gpt-4-turbo', 'cl100k_base'],
    ['gpt-3.5-turbo-0125', 'cl100k_base'],
    ['text-embedding-3-small', 'cl100k_base'],
    ['ft:gpt-4o-2024-08-06:x', 'o200k_base'],
    ['gpt-6-sol', 'o200k_base'],
    ['claude-opus-5', 'o200k_base'],
  ])('%s counts with %s', (model, encoding) => {
    expect(encodingFor(model)).toBe(encoding)
  })

  it('are stood in for by an estimate that is never zero for text', () => {
    expect([estimateTokens(0), estimateTokens(1), estimateTokens(4_000)]).toEqual([0, 1, 1_000])
  })
})
