import { Busboy } from '@fastify/busboy'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makePieces } from '../../src/protocols/form-pieces.ts'
import { makeFormScan, readForm } from '../../src/protocols/form-scan.ts'
import { fieldsOf, type Form } from '../../src/protocols/form.ts'
import type { Refusal } from '../../src/kernel/errors.ts'
import { piecesOf, readWhole } from './form-whole.ts'

interface Read {
  readonly name: string
  readonly isFile: boolean
  readonly data: string
}

/** The same form as a well-known parser reads it; null = it refuses. */
function oracle(raw: Buffer, contentType: string): Promise<Read[] | null> {
  return new Promise((resolve) => {
    const parts: Read[] = []
    const boy = new Busboy({ headers: { 'content-type': contentType } })
    boy.on('file', (name, stream) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        parts.push({ name, isFile: true, data: Buffer.concat(chunks).toString('latin1') })
      })
    })
    boy.on('field', (name, value) => {
      parts.push({ name, isFile: false, data: Buffer.from(value).toString('latin1') })
    })
    boy.on('finish', () => {
      resolve(parts)
    })
    boy.on('error', () => {
      resolve(null)
    })
    boy.end(raw)
  })
}

const RUNS = Number(process.env.FORM_RUNS ?? 1_500)
const TYPE = 'multipart/form-data; boundary=xx'
const N = 'Content-Disposition: form-data; name="n"'
const form = (...parts: [string, string][]): Buffer =>
  Buffer.from(
    `${parts.map(([head, data]) => `--xx\r\n${head}\r\n\r\n${data}\r\n`).join('')}--xx--\r\n`,
    'latin1',
  )
const field = (name: string, value: string): [string, string] => [
  `Content-Disposition: form-data; name="${name}"`,
  value,
]

const ours = (raw: Buffer, type = TYPE): Read[] | null => {
  const read = readForm(raw, type, Infinity)
  if (!read.ok) return null
  return read.parts.map(({ name, filename, data }) => ({
    name,
    isFile: filename !== null,
    data: data.toString('latin1'),
  }))
}

/** Pieces from which forms and what is nearly one are made. */
const PIECES = [
  ...['--xx', '--xx--', '\r\n', '\r\n\r\n', '\r\n--xx\r\n', '\r\n--xx--\r\n', '\n', '--', 'x'],
  ...['Content-Disposition: form-data; name="n"', 'content-disposition: form-data; name=model'],
  ...['; filename="a.png"', '; name="size"', 'Content-Type: image/png', '10', '', '\r\n--xxy'],
  ...['Content-Transfer-Encoding: base64', '"', ';', ' ', '\0', '\u{fc}'],
]
const nearlyForms = fc
  .array(fc.oneof(fc.constantFrom(...PIECES), fc.string({ maxLength: 4 })), { maxLength: 24 })
  .map((pieces) => Buffer.from(pieces.join(''), 'latin1'))
const forms = fc
  .array(
    fc.tuple(
      fc.constantFrom(...['n', 'model', 'image[]', 'prompt']),
      fc.boolean(),
      fc.array(fc.oneof(fc.constantFrom(...PIECES), fc.string({ maxLength: 8 })), { maxLength: 6 }),
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((parts) =>
    form(
      ...parts.map(([name, isFile, data]): [string, string] => [
        `Content-Disposition: form-data; name="${name}"${isFile ? '; filename="f"' : ''}`,
        Buffer.from(data.join(''), 'utf8').toString('latin1'),
      ]),
    ),
  )

describe('a form that is accepted', () => {
  it('reads as a well-known parser reads it', async () => {
    let accepted = 0
    await fc.assert(
      fc.asyncProperty(fc.oneof(forms, nearlyForms), async (raw) => {
        const mine = ours(raw)
        if (mine === null) return
        accepted += 1
        const theirs = await oracle(raw, TYPE)
        const inOrder = (parts: readonly Read[]) => parts.map((part) => JSON.stringify(part)).sort()
        expect(theirs === null ? null : inOrder(theirs)).toEqual(inOrder(mine))
      }),
      { numRuns: RUNS },
    )
    expect(accepted).toBeGreaterThan(RUNS / 8)
  })

  it('has no part whose headers are a delimiter and no header', () => {
    const part = 'Content-Disposition: form-data; name="n"\r\n\r\n\r\n'
    const raw = Buffer.from(`--xx\r\n${part}--xx\r\n--xx--\r\n--xx\r\n${part}--xx--\r\n`)
    expect(readForm(raw, 'multipart/form-data; boundary=xx', 3)).toMatchObject({ ok: false })
  })

  it('has every part where it is in the body, empty parts and binary ones too', () => {
    const raw = form(field('prompt', ''), [
      'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav',
      '\0\r\n--x\xff',
    ])
    const read = readForm(raw, 'multipart/form-data; boundary="xx"; charset=UTF-8', 3)
    expect(read).toMatchObject({
      ok: true,
      parts: [
        { name: 'prompt', filename: null, data: Buffer.alloc(0), bytes: 0 },
        { name: 'file', filename: 'a.wav', data: Buffer.from('\0\r\n'), bytes: 7 },
      ],
    })
    const { at, bytes } = (read.ok ? read.parts[1] : undefined) ?? { at: 0, bytes: 0 }
    expect(raw.toString('latin1', at, at + bytes)).toBe('\0\r\n--x\xff')
  })
})

/** Reads a form that comes in pieces of these lengths, over and over. */
function inPieces(raw: Buffer, lengths: readonly number[], fileHeadBytes: number): Form | Refusal {
  const scan = makeFormScan(TYPE, fileHeadBytes)
  if ('ok' in scan) return scan
  for (let at = 0, index = 0; at < raw.length; index += 1) {
    const next = at + (lengths[index % lengths.length] ?? 1)
    scan.push(raw.subarray(at, next))
    at = next
  }
  return scan.end()
}
const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 })

/** As the whole reader has it, with no more of a file than is asked for. */
function expected(raw: Buffer, fileHeadBytes: number): unknown {
  const whole = readWhole(raw, TYPE)
  if (!whole.ok) return { ok: false }
  const parts = whole.parts.map((part) => ({
    ...part,
    data: part.filename === null ? part.data : part.data.subarray(0, fileHeadBytes),
  }))
  return { ok: true, parts }
}

describe('a form that comes in pieces', () => {
  it('reads as it does whole, wherever it is cut', () => {
    fc.assert(
      fc.property(fc.oneof(forms, nearlyForms), cuts, (raw, lengths) => {
        const read = inPieces(raw, lengths, 5)
        expect(read.ok ? read : { ok: false }).toEqual(expected(raw, 5))
      }),
      { numRuns: RUNS },
    )
  })

  it('reads as it does whole at every one of its cuts, and byte by byte', () => {
    const raw = form(
      field('prompt', '\r\n--x'),
      [`${N}; filename="f"`, '\r\n--x\r\n--yx'.repeat(3)],
      field('model', ''),
      [`${N}; filename=""`, `${'\r\n--'.repeat(40)}-\r\n\r\n`],
    ).subarray(0, -2)
    for (const body of [raw, Buffer.concat([raw, Buffer.from('\r\n')])]) {
      const whole = expected(body, 7)
      expect(whole).toMatchObject({ ok: true })
      for (let at = 0; at <= body.length; at += 1) {
        expect(inPieces(body, [at === 0 ? 1 : at, body.length], 7)).toEqual(whole)
      }
      for (let end = 1; end < raw.length; end += 1) {
        expect(inPieces(body.subarray(0, end), [3], 7).ok).toBe(false)
      }
    }
  })

  it('in large pieces is read by parts as it comes, and no more of a file is kept than asked', () => {
    const file = Buffer.alloc(3_000_000, '\r\n--x')
    const raw = Buffer.from(
      form(field('model', 'm'), [`${N}; filename="f"`, file.toString('latin1')]),
    )
    const scan = makeFormScan(TYPE, 1_000)
    if ('ok' in scan) throw new Error(scan.message)
    scan.push(raw.subarray(0, 2_000_000))
    const [model, sound] = scan.soFar().parts
    expect(model).toMatchObject({ name: 'model', data: Buffer.from('m') })
    expect(sound?.data.length).toBe(1_000)
    expect(sound?.bytes).toBeGreaterThan(1_990_000)
    scan.push(raw.subarray(2_000_000))
    expect(scan.end()).toMatchObject({ ok: true, parts: [{}, { bytes: file.length }] })
    expect([scan.keptBytes > 1_000, scan.keptBytes < 2_000]).toEqual([true, true])
    scan.forget()
    expect(scan.keptBytes).toBe(0)
  })

  it('tells a field only when all of it has come', () => {
    const raw = Buffer.from(form(field('model', 'gpt-4o'), field('prompt', 'an otter')))
    const scan = makeFormScan(TYPE, 0)
    if ('ok' in scan) throw new Error(scan.message)
    const told = new Set<string>()
    for (const byte of raw) {
      scan.push(Buffer.from([byte]))
      for (const { data } of scan.soFar().parts) told.add(data.toString())
    }
    expect([...told]).toEqual(['gpt-4o'])
  })

  it('is refused as soon as it cannot be one, and stays refused', () => {
    const scan = makeFormScan(TYPE, 9)
    if ('ok' in scan) throw new Error(scan.message)
    expect(scan.push(Buffer.from('--xx\r\nContent-Disposition: attachment\r\n\r'))).toBeNull()
    expect(scan.push(Buffer.from('\n'))).toMatchObject({ ok: false })
    expect(scan.push(form(field('model', 'm')))).toMatchObject({ ok: false })
    expect(scan.end()).toMatchObject({ ok: false })
  })

  it('has one text but for its boundaries, however it is cut', () => {
    const texts = fc.array(fc.constantFrom('--xx', '-', '--', 'x', 'xx', '\r\n', 'abc', '--x'))
    fc.assert(
      fc.property(texts, cuts, (pieces, lengths) => {
        const raw = Buffer.from(pieces.join(''))
        const seen: Buffer[] = []
        const taken = makePieces(TYPE, (piece) => seen.push(Buffer.from(piece)))
        for (let at = 0, index = 0; at < raw.length; index += 1) {
          const next = at + (lengths[index % lengths.length] ?? 1)
          taken.push(raw.subarray(at, next))
          at = next
        }
        taken.end()
        expect(Buffer.concat(seen).toString()).toBe(piecesOf(raw, 'xx').toString())
      }),
      { numRuns: RUNS },
    )
  })
})

const AMBIGUOUS: Record<string, [Buffer, string?]> = {
  'two boundaries': [form([N, '1']), 'multipart/form-data; boundary=xx; boundary=yy'],
  'no boundary': [form([N, '1']), 'multipart/form-data'],
  'another charset': [form([N, '1']), 'multipart/form-data; boundary=xx; charset=utf-7'],
  'a name twice in a part': [form([`${N}; name="user"`, '10'])],
  'an extended name': [form([`${N}; name*=utf-8''user`, '10'])],
  'a header twice': [form([`${N}\r\n${N}`, '1'])],
  'a folded header': [form([`${N};\r\n filename="x"`, '1'])],
  'a transfer encoding': [form([`${N}\r\nContent-Transfer-Encoding: base64`, 'MTA='])],
  'no disposition': [form(['Content-Type: text/plain', '1'])],
  'another disposition': [form(['Content-Disposition: attachment; name="n"', '1'])],
  'a preamble': [Buffer.concat([Buffer.from('hello\r\n'), form([N, '1'])])],
  'an epilogue': [Buffer.concat([form([N, '1']), form([N, '10'])])],
  'no end': [form([N, '1']).subarray(0, -8)],
  'a boundary that goes on': [form([N, '1\r\n--xxx'])],
  'a boundary behind a bare line feed': [form([N, '1\n--xx\n'])],
  'a boundary right behind the headers': [Buffer.from(`--xx\r\n${N}\r\n\r\n--xx--\r\n`)],
  'a second boundary in other words': [form([N, '1']), `${TYPE}; boundary*=utf-8''yy`],
  'a boundary with a blank before its sign': [form([N, '1']), `${TYPE}; boundary =yy`],
  'a header with a blank in its name': [form([`${N}\r\nX : y`, '1'])],
  'a header that is folded': [form([`${N}\r\n ;filename="f"; q=":"`, '1'])],
  'bare line feeds': [Buffer.from(form([N, '1']).toString().replaceAll('\r\n', '\n'))],
  'too many parts': [form(...Array.from({ length: 300 }, () => field('user', 'x')))],
  'headers without end': [form([`${N}\r\nX: ${'y'.repeat(5_000)}`, '1'])],
  'a field of a megabyte': [form(field('prompt', 'x'.repeat(1024 * 1024)))],
}
describe('a form that two readers may read in two ways is refused', () => {
  it.each(Object.keys(AMBIGUOUS))('%s', (name) => {
    const [raw, type = TYPE] = AMBIGUOUS[name] ?? [Buffer.alloc(0)]
    expect(readForm(raw, type, 9)).toMatchObject({ ok: false, code: 'invalid_request' })
  })

  it.each([
    ['twice', [field('n', '1'), field('n', '10')]],
    ['in another case', [field('N', '10')]],
    ['as a list', [field('n[]', '10')]],
    ['as a file', [[`${N}; filename="x"`, '10']]],
    ['with odd characters', [field('n', '1\u{80}')]],
    ['empty', [field('n', '')]],
  ] as [string, [string, string][]][])('a field that bounds the cost, %s', (_how, parts) => {
    const read = readForm(form(...parts), TYPE, 9)
    if (!read.ok) throw new Error(read.message)
    expect(fieldsOf(read, new Set(['n']))).toMatchObject({ ok: false })
  })

  it('but fields of every name pass', () => {
    const read = readForm(form(field('n', '3'), field('prompt', 'a'), field('x[]', 'b')), TYPE, 9)
    if (!read.ok) throw new Error(read.message)
    const body = { n: 3, prompt: 'a' }
    expect(fieldsOf(read, new Set(['n']))).toEqual({ ok: true, body })
  })
})
