import type { IncomingMessage } from 'node:http'
import { READ_ON_BYTES_MAX } from '../kernel/limits/requests.ts'

/**
 * Reads on behind an answer that did not wait for its request, as node does, so that its client
 * hears it and its connection stays good; hangs up beyond READ_ON_BYTES_MAX.
 */
export function readOn(request: IncomingMessage): void {
  let bytes = 0
  request.on('data', (part: Buffer) => {
    bytes += part.length
    if (bytes > READ_ON_BYTES_MAX) request.destroy()
  })
  request.resume()
}
