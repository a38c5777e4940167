import { createServer } from 'node:http'
import { createServer as createTcp, type AddressInfo, type Socket } from 'node:net'

export interface Received {
  readonly headers: Record<string, string | string[] | undefined>
  readonly body: string
}

export interface Receiver extends AsyncDisposable {
  readonly url: string
  readonly received: Received[]
  /** Status of the answers from now on; null = never answer. */
  answer(status: number | null): void
}

/** An endpoint of an operator's own. */
export async function startReceiver(): Promise<Receiver> {
  const received: Received[] = []
  let status: number | null = 204
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      received.push({ headers: request.headers, body: Buffer.concat(parts).toString() })
      if (status !== null) response.writeHead(status, { location: '/elsewhere' }).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${portOf(server.address())}/hook`,
    received,
    answer: (next) => {
      status = next
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

export interface Mailbox extends AsyncDisposable {
  readonly url: string
  readonly mails: string[]
  /** Refuses mail from now on. */
  refuse(isRefusing: boolean): void
}

/** A mail server that speaks as much SMTP as handing in a mail takes. */
export async function startMailbox(): Promise<Mailbox> {
  const mails: string[] = []
  const sockets = new Set<Socket>()
  let isRefusing = false
  const server = createTcp((socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    let mail: string | null = null
    let rest = ''
    const say = (line: string) => socket.write(`${line}\r\n`)
    say('220 mailbox')
    socket.on('data', (data) => {
      const lines = (rest + data.toString()).split('\r\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (mail !== null) {
          if (line !== '.') {
            mail += `${line}\n`
            continue
          }
          mails.push(mail)
          mail = null
          say('250 taken')
        } else if (line === 'DATA') {
          mail = ''
          say('354 go on')
        } else if (line.startsWith('RCPT') && isRefusing) say('451 not now')
        else if (line === 'QUIT') socket.end('221 bye\r\n')
        else say('250 ok')
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `smtp://127.0.0.1:${portOf(server.address())}`,
    mails,
    refuse: (next) => {
      isRefusing = next
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
