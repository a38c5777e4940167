import { connect, createServer, type Socket } from 'node:net'

export interface CuttingProxy extends AsyncDisposable {
  readonly url: string
  /** The next COMMIT is carried out, and its connection ends before the answer gets through. */
  cutNextCommit(): void
  /** The same of the next statement sent alone that answers this: `UPDATE 1`. */
  cutNext(answer: string): void
}

/** Stands before a Postgres and loses one answer when told to. */
export async function cuttingProxy(target: string): Promise<CuttingProxy> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  let isArmed = false
  let awaited: string | null = null
  const server = createServer((client) => {
    const upstream = connect({ host: hostname, port: Number(port) })
    let cuts = false
    const end = () => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', end)
      socket.on('close', end)
    }
    client.on('data', (data) => {
      if (isArmed && data.includes('COMMIT\0')) {
        cuts = true
        isArmed = false
      }
      upstream.write(data)
    })
    upstream.on('data', (data) => {
      // Statements travel together with the COMMIT: theirs are not the answer to lose.
      if (cuts && data.includes('COMMIT\0')) end()
      else if (awaited !== null && data.includes(awaited)) {
        awaited = null
        end()
      } else client.write(data)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = String(address.port)
  return {
    url: url.href,
    cutNextCommit: () => {
      isArmed = true
    },
    cutNext: (answer) => {
      awaited = `${answer}\0`
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
