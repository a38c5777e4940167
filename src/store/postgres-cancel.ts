import { connect } from 'node:net'
import type { PoolClient } from 'pg'

/** Source: PostgreSQL, frontend/backend protocol, CancelRequest. */
const CANCEL_BYTES = 16
const CANCEL_CODE = 80_877_102

const secretOf = (client: PoolClient): number | null =>
  'secretKey' in client && typeof client.secretKey === 'number' ? client.secretKey : null
const processOf = (client: PoolClient): number | null =>
  'processID' in client && typeof client.processID === 'number' ? client.processID : null

/**
 * Asks Postgres, over a connection that it closes, to end what another one is at. There is no
 * answer, and where it does not arrive, nothing is worse than before.
 */
function requestCancel(client: PoolClient, waitMs: number): void {
  const [pid, secret] = [processOf(client), secretOf(client)]
  if (pid === null || secret === null) return
  const { host, port } = client
  const socket = host.startsWith('/')
    ? connect(`${host}/.s.PGSQL.${port}`)
    : connect({ host, port })
  const message = Buffer.alloc(CANCEL_BYTES)
  message.writeInt32BE(CANCEL_BYTES, 0)
  message.writeInt32BE(CANCEL_CODE, 4)
  message.writeInt32BE(pid, 8)
  message.writeInt32BE(secret, 12)
  socket.on('error', () => undefined)
  socket.setTimeout(waitMs, () => socket.destroy())
  socket.unref()
  socket.write(message)
  socket.resume()
}

export interface StatementLimit {
  /** The statement is over. True = it may have been cancelled: the connection is not to be lent. */
  lift(): boolean
}

/**
 * Ends a statement outside a transaction on the server when it takes longer than `ms`: nothing may
 * be left to the session, so no setting of Postgres' can. The client alone giving up would leave it
 * running. `graceMs`: how long the client goes on waiting. Not to be used through a pooler:
 * pgbouncer 1.18 ends, with all its connections, when who asked it to cancel is gone before that
 * was done.
 */
export function limitStatement(client: PoolClient, ms: number, graceMs: number): StatementLimit {
  let isCanceled = false
  const timer = setTimeout(() => {
    isCanceled = true
    requestCancel(client, graceMs)
  }, ms)
  timer.unref()
  return {
    lift() {
      clearTimeout(timer)
      return isCanceled
    },
  }
}
