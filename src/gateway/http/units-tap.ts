import type { IncomingHttpHeaders } from 'node:http'
import type { Transform } from 'node:stream'
import { ANSWER_METER_BYTES_MAX, DECODED_EVENTS_BYTES_MAX } from '../../kernel/limits/answers.ts'
import { LOOP_BYTES_MAX } from '../../kernel/limits/requests.ts'
import { describeError, type Log } from '../../kernel/log.ts'
import type { Share } from '../../kernel/room.ts'
import { makeSseSplitter } from '../../protocols/sse.ts'
import { decoderOf } from '../answers/decode.ts'
import { faultOf, type Flow } from '../forward.ts'
import { Gathered } from '../answers/gathered.ts'
import { isHeavy, type BodyReader } from '../reading/body-reader.ts'
import { countAt, countOf, type JsonPath, type UnitsSource } from './units.ts'

/** Named by the answer; null = it names none. `isSure`: it was read to its end, and all of it. */
interface Named {
  readonly named: number | null
  readonly isSure: boolean
}

/** What an answer says of its units while it passes. */
export interface UnitsTap {
  data(chunk: Buffer): void
  /** Named so far; null = nothing yet. */
  readonly soFar: number | null
  /** Called once, at every end of an answer. Never rejects. */
  end(isWhole: boolean): Promise<Named>
}

/** Reads a body that is as it was written. */
interface PlainTap {
  data(chunk: Buffer): void
  readonly soFar: number | null
  end(isWhole: boolean): Named | Promise<Named>
}

const NOT_ASKED: PlainTap = {
  data: () => undefined,
  soFar: 0,
  end: () => ({ named: 0, isSure: true }),
}

const UNREAD: Named = { named: null, isSure: false }

function headerTap(value: unknown): PlainTap {
  const named = countOf(value)
  return { data: () => undefined, soFar: named, end: () => ({ named, isSure: named !== null }) }
}

/**
 * A body that is JSON as a whole, read in a thread where that takes long; one beyond
 * ANSWER_METER_BYTES_MAX, or for which `share` has no room, is not read.
 */
function jsonTap(
  path: JsonPath,
  bodies: Pick<BodyReader, 'count'>,
  share: Pick<Share, 'take'>,
): PlainTap {
  let parts: Buffer[] = []
  let large: Gathered | null = null
  let bytes = 0
  return {
    data(chunk) {
      bytes += chunk.length
      parts.push(chunk)
      if (bytes <= LOOP_BYTES_MAX) return
      large ??= new Gathered(share)
      large.add(parts, bytes)
      parts = []
    },
    soFar: null,
    async end(isWhole) {
      if (!isWhole || large?.isGivenUp === true) return UNREAD
      const body = large?.bytes() ?? Buffer.concat(parts)
      const named = isHeavy(body)
        ? await bodies.count(body, path)
        : countAt(body.toString('utf8'), path)
      return { named, isSure: named !== null }
    },
  }
}

/** Events: the last one that names a number counts. One that is too large to be read may have. */
function eventsTap(path: JsonPath): PlainTap {
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

const asItIs = (tap: PlainTap): UnitsTap => ({
  data: (chunk) => {
    tap.data(chunk)
  },
  get soFar() {
    return tap.soFar
  },
  end: async (isWhole) => tap.end(isWhole),
})

/**
 * Reads what comes compressed, beside the bytes that pass as they came. The answer waits for the
 * decoder, so that no more than a chunk waits in it; past `bytesMax` of plain bytes, or where they
 * are no such encoding, the rest is not read; nor after a fault of ours, which `tell` hears of.
 */
function decodedTap(
  tap: PlainTap,
  decoder: Transform,
  bytesMax: number,
  flow: Flow,
  tell: (fault: Error) => void,
): UnitsTap {
  let bytes = 0
  let isEmpty = true
  let isOver = false
  let tellEnd: (isRead: boolean) => void = () => undefined
  const ended = new Promise<boolean>((resolve) => {
    tellEnd = resolve
  })
  const over = (isRead: boolean): void => {
    if (isOver) return
    isOver = true
    decoder.destroy()
    flow.resume()
    tellEnd(isRead)
  }
  const read = (chunk: Buffer): void => {
    try {
      tap.data(chunk)
    } catch (error) {
      tell(faultOf(error))
      over(false)
    }
  }
  decoder.on('data', (chunk: Buffer) => {
    if (isOver) return
    bytes += chunk.length
    if (bytes > bytesMax) over(false)
    else read(chunk)
  })
  decoder.on('drain', flow.resume)
  decoder.on('error', () => {
    over(false)
  })
  decoder.on('end', () => {
    over(true)
  })
  return {
    data(chunk) {
      isEmpty = false
      if (!isOver && !decoder.write(chunk)) flow.pause()
    },
    get soFar() {
      return tap.soFar
    },
    async end(isWhole) {
      if (isEmpty || !isWhole) over(isWhole)
      else if (!isOver) decoder.end()
      return tap.end(await ended)
    },
  }
}

/**
 * `source` null = the API's answers name no units: none are counted. `flow` is steered by what
 * reads them.
 */
export function makeUnitsTap(
  source: UnitsSource | null,
  headers: IncomingHttpHeaders,
  flow: Flow,
  deps: { readonly bodies: Pick<BodyReader, 'count'>; readonly log: Pick<Log, 'error'> },
  { id, bodyShare }: { readonly id: string; readonly bodyShare: Pick<Share, 'take'> },
): UnitsTap {
  if (source === null) return asItIs(NOT_ASKED)
  if (source.kind === 'header') return asItIs(headerTap(headers[source.name]))
  const isEvents = isEventStream(headers)
  const tap = isEvents ? eventsTap(source.path) : jsonTap(source.path, deps.bodies, bodyShare)
  const makeDecoder = decoderOf(headers)
  if (makeDecoder === null) return asItIs(tap)
  const bytesMax = isEvents ? DECODED_EVENTS_BYTES_MAX : ANSWER_METER_BYTES_MAX
  return decodedTap(tap, makeDecoder(), bytesMax, flow, (fault) => {
    const fields = { request_id: id, error: describeError(fault) }
    deps.log.error(fields, 'units of an answer could not be read')
  })
}
