import { connect, type Socket } from 'node:net'
import type { Gateway } from '../../support/gateway.ts'
import { until } from '../../support/until.ts'

/** An HTTP client that says exactly what it is told, well formed or not. */
export interface RawClient {
  readonly socket: Socket
  /** Everything that came so far. */
  received(): string
  write(text: string | Buffer): void
}

export function openRaw(gateway: Gateway): RawClient {
  const { hostname, port } = new URL(gateway.url)
  const socket = connect({ host: hostname, port: Number(port) })
  let text = ''
  socket.on('data', (part: Buffer) => (text += part.toString()))
  socket.on('error', () => undefined)
  return {
    socket,
    received: () => text,
    write(part) {
      if (!socket.destroyed) socket.write(part)
    },
  }
}

/** Head and body of a request, one line a header, its length in place. */
export function rawRequest(line: string, headers: readonly string[], body: string): string {
  const length = `content-length: ${Buffer.byteLength(body)}`
  return [`${line} HTTP/1.1`, 'host: gateway', ...headers, length, '', body].join('\r\n')
}

/** Sends bytes and reads the answer until the gateway closes. The request must ask for that. */
export async function sendRaw(gateway: Gateway, text: string | Buffer): Promise<Response> {
  const client = openRaw(gateway)
  client.write(text)
  await until(() => client.socket.closed)
  return parseAnswer(client.received())
}

/** The one answer in what was received; a status of 599 stands for none. */
export function parseAnswer(received: string): Response {
  const text = received.replace(/^HTTP\/1\.1 100 .*\r\n\r\n/, '')
  const end = text.indexOf('\r\n\r\n')
  const [first = '', ...lines] = text.slice(0, end).split('\r\n')
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1] ?? 599)
  const headers = lines.map((line): [string, string] => {
    const at = line.indexOf(':')
    return [line.slice(0, at), line.slice(at + 1).trim()]
  })
  return new Response(text.slice(end + 4), { status, headers })
}
