import { createParser } from 'eventsource-parser'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { SseEvent, SseVerdict } from '../../src/protocols/sse-event.ts'
import { makeSseSplitter } from '../../src/protocols/sse.ts'
import { everyByte, randomCuts } from './support.ts'

interface Heard {
  type: string
  data: string
}

/** What eventsource-parser hears in the whole text. */
function oracle(bytes: Buffer): Heard[] {
  const heard: Heard[] = []
  const parser = createParser({
    onEvent: ({ event, data }) => {
      heard.push({ type: event ?? '', data })
    },
  })
  parser.feed(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes))
  parser.feed('') // a last CR is only a line end once something follows
  return heard.filter(({ data }) => data !== '')
}

interface Split {
  heard: Heard[]
  out: Buffer
  pass: Buffer
  oversized: number[]
}

function split(
  bytes: Buffer,
  cuts: Iterable<number>,
  judge: (event: SseEvent) => SseVerdict = () => 'pass',
  eventBytesMax?: number,
): Split {
  const heard: Heard[] = []
  const oversized: number[] = []
  const pass: Buffer[] = []
  const final: Buffer[] = []
  const splitter = makeSseSplitter(
    {
      event(event) {
        if (event.data !== null && event.data.length > 0) {
          heard.push({ type: event.type, data: event.data })
        }
        return judge(event)
      },
      oversized: ({ size }) => {
        oversized.push(size)
        return 'pass'
      },
    },
    eventBytesMax,
  )
  let from = 0
  for (const to of [...cuts, bytes.length]) {
    const output = splitter.push(bytes.subarray(from, to))
    if (final.length > 0) expect(output.pass).toEqual([])
    pass.push(...output.pass)
    final.push(...output.final)
    from = to
  }
  const output = splitter.end()
  pass.push(...output.pass)
  final.push(...output.final)
  return { heard, oversized, pass: Buffer.concat(pass), out: Buffer.concat([...pass, ...final]) }
}

const NASTY: Record<string, string> = {
  LF: 'data: a\n\ndata: b\n\n',
  CRLF: 'data: a\r\n\r\ndata: b\r\n\r\n',
  CR: 'data: a\r\rdata: b\r\rdata: c\r\r:\n\n',
  'mixed line ends': 'data: a\r\n\ndata: b\n\r\ndata: c\r\r\ndata: d\n\rdata: e\n\n',
  'byte order mark': '\uFEFFdata: a\n\ndata: b\n\n',
  'byte order mark before a blank line': '\uFEFF\n\ndata: a\n\n',
  comments: ': hello\n\n:\n\n: x\ndata: a\n: y\n\n:a:b\n\n',
  'several data lines': 'data: {\ndata:   "a": 1\ndata: }\n\ndata\ndata\n\ndata:\ndata: x\n\n',
  'fields without a value': 'data\n\nevent\ndata: a\n\nevent:\ndata: b\n\n',
  'field names that look alike': 'datas: a\ndat: b\nevents: c\ndata : d\n data: e\ndata: f\n\n',
  spaces: 'data:  a \ndata:b\ndata:\tc\n\n',
  'event names': 'event: x\ndata: a\n\nevent: y\nevent: z\ndata: b\n\ndata: c\n\nevent: only\n\n',
  'ids and retries': 'id: 1\nretry: 10\ndata: a\n\nid\ndata: b\n\n',
  'many blank lines': '\n\n\r\n\r\rdata: a\n\n\n\n\r\ndata: b\n\n',
  'characters of 2, 3 and 4 bytes': 'data: é 漢字 🜁\n\nevent: 漢\ndata: 🜁\n\n',
  'a NUL and control bytes': 'data: a\0b\u0001\n\n',
  'bytes after the end': 'data: [DONE]\n\ndata: late\n\n: bye\n\n',
}

describe('the splitter', () => {
  for (const [name, text] of Object.entries(NASTY)) {
    it(`hears and forwards what came, cut at every pair of places: ${name}`, () => {
      const bytes = Buffer.from(text)
      const expected = oracle(bytes)
      for (let first = 0; first <= bytes.length; first += 1) {
        for (let second = first; second <= bytes.length; second += 1) {
          const { heard, out } = split(bytes, [first, second])
          expect(heard).toEqual(expected)
          expect(out.equals(bytes)).toBe(true)
        }
      }
      expect(split(bytes, everyByte(bytes)).heard).toEqual(expected)
    })
  }

  const line = fc.oneof(
    fc.constantFrom(
      '',
      '',
      'data',
      'data:',
      'data: ',
      'event: e',
      'event',
      ':',
      ': c',
      'id: 1',
      'x',
    ),
    fc.string({ unit: 'binary', maxLength: 12 }).map((text) => `data: ${text}`),
    fc.string({ unit: 'grapheme', maxLength: 12 }).map((text) => `data:${text}`),
    fc.string({ maxLength: 6 }).map((text) => `event:${text}`),
    fc.string({ maxLength: 8 }),
  )
  const end = fc.constantFrom('\n', '\r\n', '\r')
  const stream = fc
    .tuple(
      fc.constantFrom('', '\uFEFF'),
      fc.array(fc.tuple(line, end), { maxLength: 40 }).map((lines) => lines.flat().join('')),
    )
    .map(([mark, text]) => `${mark}${text}\n\n`)

  it('agrees with eventsource-parser on any stream in any pieces', () => {
    fc.assert(
      fc.property(stream, fc.nat(), fc.integer({ min: 1, max: 40 }), (text, seed, most) => {
        const bytes = Buffer.from(text)
        const { heard, out, oversized } = split(bytes, randomCuts(bytes, seed, most))
        expect(heard).toEqual(oracle(bytes))
        expect(out.equals(bytes)).toBe(true)
        expect(oversized).toEqual([])
      }),
      { numRuns: 2_000 },
    )
  })

  it('forwards any bytes exactly, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(), fc.nat(40), (array, seed, max) => {
        const bytes = Buffer.from(array.map((byte) => (byte % 3 === 0 ? byte % 14 : byte)))
        expect(split(bytes, randomCuts(bytes, seed, 9), undefined, max).out.equals(bytes)).toBe(
          true,
        )
      }),
      { numRuns: 1_000 },
    )
  })

  it('drops exactly the bytes of dropped events, blank line and its second half included', () => {
    const block = fc
      .tuple(fc.constantFrom('keep', 'drop'), fc.constantFrom('\n', '\r\n', '\r'))
      .map(([word, eol]) => ({ word, text: `data: ${word}${eol}${eol}` }))
    fc.assert(
      fc.property(
        fc.array(block, { maxLength: 12 }),
        fc.nat(),
        fc.integer({ min: 1, max: 9 }),
        (blocks, seed, most) => {
          // A CR that ends one block and a LF that opens none: no block begins with LF.
          const bytes = Buffer.from(blocks.map(({ text }) => text).join(''))
          const kept = blocks.filter(({ word }) => word === 'keep').map(({ text }) => text)
          const { out } = split(bytes, randomCuts(bytes, seed, most), (event) =>
            event.data === 'drop' ? 'drop' : 'pass',
          )
          expect(out.toString()).toBe(kept.join(''))
        },
      ),
      { numRuns: 1_000 },
    )
  })

  it('keeps everything from the final event on apart, for every pair of cuts', () => {
    const before = 'data: a\r\n\r\n'
    const bytes = Buffer.from(`${before}data: [DONE]\r\n\r\ndata: late\r\n\r\n\r\n: bye`)
    for (let first = 0; first <= bytes.length; first += 1) {
      for (let second = first; second <= bytes.length; second += 1) {
        const { pass, out, heard } = split(bytes, [first, second], ({ data }) =>
          data === '[DONE]' ? 'final' : 'pass',
        )
        expect(pass.toString()).toBe(before)
        expect(out.equals(bytes)).toBe(true)
        expect(heard.map(({ data }) => data)).toEqual(['a', '[DONE]', 'late'])
      }
    }
  })

  it('hears a last event that has no blank line, or no line end at all', () => {
    for (const tail of ['data: [DONE]', 'data: [DONE]\n', 'data: [DONE]\r', 'data: [DONE]\r\n']) {
      const { heard, pass } = split(Buffer.from(tail), [3], () => 'final')
      expect(heard).toEqual([{ type: '', data: '[DONE]' }])
      expect(pass.length).toBe(0)
    }
  })
})

describe('an event past the bound', () => {
  const big = `data: ${'x'.repeat(100)}\n\n`
  const text = `data: a\n\n${big}data: b\n\n`

  it('passes unread, is counted once, and the next one is read again', () => {
    const bytes = Buffer.from(text)
    for (const cuts of [[], everyByte(bytes), randomCuts(bytes, 3, 30)]) {
      const { heard, out, oversized } = split(bytes, cuts, undefined, 50)
      expect(heard.map(({ data }) => data)).toEqual(['a', 'b'])
      expect(oversized).toEqual([big.length])
      expect(out.equals(bytes)).toBe(true)
    }
  })

  it('leaves at once instead of being held', () => {
    const splitter = makeSseSplitter({ event: () => 'pass', oversized: () => 'pass' }, 50)
    expect(splitter.push(Buffer.from('x'.repeat(50))).pass).toEqual([])
    expect(Buffer.concat(splitter.push(Buffer.from('yy')).pass).toString()).toBe(
      `${'x'.repeat(50)}yy`,
    )
    expect(splitter.push(Buffer.from('z')).pass.toString()).toBe('z')
  })

  it('is counted when the stream ends in the middle of it', () => {
    expect(split(Buffer.from(`data: ${'x'.repeat(100)}`), [60], undefined, 50).oversized).toEqual([
      106,
    ])
  })
})
