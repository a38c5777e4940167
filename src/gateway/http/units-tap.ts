import type { IncomingHttpHeaders } from 'node:http'
import { ANSWER_METER_BYTES_MAX } from '../../kernel/limits.ts'
import { makeSseSplitter } from '../../protocols/sse.ts'
import { countAt, countOf, type JsonPath, type UnitsSource } from './units.ts'

/** What an answer says of its units while it passes. */
export interface UnitsTap {
  data(chunk: Buffer): void
  /** Named so far; null = nothing yet. */
  readonly soFar: number | null
  /** Named by the answer; null = it names none. `isSure`: it was read to its end, and all of it. */
  end(isWhole: boolean): { readonly named: number | null; readonly isSure: boolean }
}

const NOT_ASKED: UnitsTap = {
  data: () => undefined,
  soFar: 0,
  end: () => ({ named: 0, isSure: true }),
}

function headerTap(value: unknown): UnitsTap {
  const named = countOf(value)
  return { data: () => undefined, soFar: named, end: () => ({ named, isSure: named !== null }) }
}

/** A body that is JSON as a whole; one beyond ANSWER_METER_BYTES_MAX is not read. */
function jsonTap(path: JsonPath): UnitsTap {
  let kept: Buffer[] | null = []
  let bytes = 0
  return {
    data(chunk) {
      bytes += chunk.length
      if (bytes > ANSWER_METER_BYTES_MAX) kept = null
      else kept?.push(chunk)
    },
    soFar: null,
    end(isWhole) {
      const body = isWhole && kept !== null ? Buffer.concat(kept) : null
      const named = body === null ? null : countAt(body.toString('utf8'), path)
      return { named, isSure: named !== null }
    },
  }
}

/** Events: the last one that names a number counts. One that is too large to be read may have. */
function eventsTap(path: JsonPath): UnitsTap {
  let named: number | null = null
  let isUnread = false
  const splitter = makeSseSplitter({
    event({ data }) {
      const found = data === null ? null : countAt(data, path)
      if (found !== null) {
        named = found
        isUnread = false
      }
      return 'drop'
    },
    oversized() {
      isUnread = true
      return 'drop'
    },
  })
  return {
    data(chunk) {
      splitter.push(chunk)
    },
    get soFar() {
      return named
    },
    end(isWhole) {
      if (isWhole) splitter.end()
      return { named, isSure: isWhole && named !== null && !isUnread }
    },
  }
}

export const isEventStream = (headers: IncomingHttpHeaders): boolean =>
  headers['content-type']?.trimStart().toLowerCase().startsWith('text/event-stream') === true

/** `source` null = the API's answers name no units: none are counted. */
export function makeUnitsTap(source: UnitsSource | null, headers: IncomingHttpHeaders): UnitsTap {
  if (source === null) return NOT_ASKED
  if (source.kind === 'header') return headerTap(headers[source.name])
  return isEventStream(headers) ? eventsTap(source.path) : jsonTap(source.path)
}
