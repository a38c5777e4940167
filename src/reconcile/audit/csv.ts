import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { CsvError, parse, type Options } from 'csv-parse'
import { parse as parseNow } from 'csv-parse/sync'
import { z } from 'zod'
import { CSV_HEAD_BYTES, CSV_RECORD_BYTES_MAX } from '../../kernel/limits/books.ts'

/** What a file cannot be read for, for people. */
export class AuditInputError extends Error {
  override readonly name = 'AuditInputError'
}

/** One CSV file: its heading at once, its rows as they are read. */
export interface CsvFile {
  readonly name: string
  readonly separator: string
  readonly heading: readonly string[]
  /** The first rows, as far as CSV_HEAD_BYTES go. */
  readonly sample: readonly (readonly string[])[]
  /** Once only. Throws AuditInputError where the text is no CSV; its message names the line. */
  readonly rows: AsyncIterable<readonly string[]>
}

const SEPARATORS = [',', ';', '\t', '|']

/** The first line that is not empty, as far as quotes let it go on. */
function firstLine(text: string): string {
  let isQuoted = false
  let start = 0
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at]
    if (char === '"') isQuoted = !isQuoted
    if (isQuoted || (char !== '\n' && char !== '\r')) continue
    if (at > start) return text.slice(start, at)
    start = at + 1
  }
  return text.slice(start)
}

/** The separator that parts the heading most often, quotes aside. Excel's "sep=;" rules. */
function separatorOf(head: string): { readonly separator: string; readonly skip: number } {
  const line = firstLine(head.replace(/^\uFEFF/, ''))
  const [, named] = /^"?sep=(.)"?$/i.exec(line) ?? []
  if (named !== undefined) return { separator: named, skip: 1 }
  const bare = line.replaceAll(/"[^"]*"/g, '')
  const counts = SEPARATORS.map((one) => bare.split(one).length)
  const most = counts.indexOf(Math.max(...counts))
  return { separator: SEPARATORS[most] ?? ',', skip: 0 }
}

type Encoding = 'utf8' | 'utf16le'

async function headOf(path: string): Promise<{ text: string; encoding: Encoding }> {
  const file = await open(path, 'r')
  try {
    const bytes = Buffer.alloc(CSV_HEAD_BYTES)
    const { bytesRead } = await file.read(bytes, 0, CSV_HEAD_BYTES, 0)
    if (bytes[0] === 0xfe && bytes[1] === 0xff) throw new Error('it is UTF-16BE; save it as UTF-8')
    const encoding: Encoding = bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf16le' : 'utf8'
    return { text: bytes.toString(encoding, 0, bytesRead), encoding }
  } finally {
    await file.close()
  }
}

const explain = (name: string, error: unknown): Error => {
  if (!(error instanceof CsvError)) return error instanceof Error ? error : new Error(String(error))
  return new AuditInputError(`${name} is not a CSV that can be read: ${error.message}`)
}

async function* rowsOf(
  name: string,
  records: AsyncIterator<readonly string[]>,
): AsyncGenerator<readonly string[]> {
  try {
    for (;;) {
      const next = await records.next()
      if (next.done === true) return
      yield next.value
    }
  } catch (error) {
    throw explain(name, error)
  } finally {
    await records.return?.()
  }
}

const records = z.array(z.array(z.string()))

/** The rows of a head, without its heading and the row in which it was cut. */
function sampleOf(text: string, options: Options): readonly (readonly string[])[] {
  const cut = Math.max(text.lastIndexOf('\n'), text.lastIndexOf('\r'))
  const isWhole = text.length < CSV_HEAD_BYTES / 2
  try {
    return records.parse(parseNow(isWhole ? text : text.slice(0, cut), options)).slice(1)
  } catch {
    return [] // cut within quotes, or no CSV: reading the rows says so
  }
}

/**
 * Opens a CSV: any of four separators, quotes, BOM, UTF-16 of Excel, any line ends. Rows shorter or
 * longer than the heading are given as they are. Throws AuditInputError.
 */
export async function openCsv(path: string): Promise<CsvFile> {
  const head = await headOf(path).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error)
    throw new AuditInputError(`${path} cannot be read: ${why}`)
  })
  const { separator, skip } = separatorOf(head.text)
  const options = {
    ...{ bom: true, delimiter: separator, from_line: 1 + skip },
    ...{ relax_column_count: true, relax_quotes: true, skip_empty_lines: true, trim: true },
    record_delimiter: ['\r\n', '\n', '\r'],
    max_record_size: CSV_RECORD_BYTES_MAX,
  }
  const parser = parse({ ...options, encoding: head.encoding })
  const source = createReadStream(path)
  source.on('error', (error) => parser.destroy(error))
  const records: AsyncIterator<readonly string[]> = source.pipe(parser)[Symbol.asyncIterator]()
  const rows = rowsOf(path, records)
  const first = await rows.next()
  if (first.done === true) throw new AuditInputError(`${path} is empty`)
  const sample = sampleOf(head.text, options)
  return { name: path, separator, heading: first.value, sample, rows }
}
