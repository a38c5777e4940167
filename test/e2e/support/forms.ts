import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import type { Gateway } from '../../support/gateway.ts'

export const TRANSCRIPTIONS = '/v1/audio/transcriptions'

/** Frames of MPEG-1 layer 3 at 128 kbit/s and 44.1 kHz. */
export function mp3(bytes: number): Buffer {
  const file = Buffer.alloc(Math.floor(bytes / 417) * 417)
  for (let at = 0; at < file.length; at += 417) file.writeUInt32BE(0xfffb9000, at)
  return file
}

/** How long such a sound is, in seconds. */
export const secondsOf = (sound: Buffer): number => (sound.length / 417) * (1_152 / 44_100)

export type Part = readonly [name: string, value: string | Buffer]
const part = ([name, value]: Part): Buffer =>
  Buffer.concat([
    Buffer.from(`--xx\r\nContent-Disposition: form-data; name="${name}"`),
    Buffer.from(typeof value === 'string' ? '\r\n\r\n' : '; filename="f"\r\n\r\n'),
    Buffer.from(value),
    Buffer.from('\r\n'),
  ])
export const FORM_END = Buffer.from('--xx--\r\n')
export const form = (...parts: readonly Part[]): Buffer =>
  Buffer.concat([...parts.map(part), FORM_END])

export interface Sending {
  readonly out: ClientRequest
  readonly answer: Promise<{ status: number; text: string; headers: IncomingMessage['headers'] }>
}

/** A client that sends a form as it is told. `bytes` null = in chunks. */
export function sendForm(
  { url }: Pick<Gateway, 'url'>,
  path: string,
  apiKey: string,
  bytes: number | null,
): Sending {
  const headers: Record<string, string> = {
    authorization: `Bearer ${apiKey}`,
    'content-type': 'multipart/form-data; boundary=xx',
  }
  if (bytes !== null) headers['content-length'] = String(bytes)
  const out = httpRequest(`${url}${path}`, { method: 'POST', headers })
  const answer = new Promise<Awaited<Sending['answer']>>((resolve, reject) => {
    out.on('error', reject)
    out.on('response', (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text, headers: response.headers })
      })
    })
  })
  answer.catch(() => undefined)
  return { out, answer }
}

/** Whether the system tells which files a process has open. */
export const TELLS_FILES = existsSync('/proc/self/fd')

/** Files of forms that a gateway has open, where the system tells. */
export function formsKept({ pid }: Pick<Gateway, 'pid'>): number {
  const files = `/proc/${pid}/fd`
  const nameOf = (file: string): string => {
    try {
      return readlinkSync(`${files}/${file}`)
    } catch {
      return '' // closed meanwhile
    }
  }
  if (!existsSync(files)) return 0
  return readdirSync(files).filter((file) => nameOf(file).includes('farebox-form-')).length
}
