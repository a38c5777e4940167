import { Command as IoCommand, Redis } from 'ioredis'
import { UnknownOutcomeError } from '../kernel/errors.ts'
import {
  REDIS_COMMAND_MS_MAX,
  REDIS_GATHER_MS_MAX,
  REDIS_QUEUE_MAX,
  REDIS_SILENCE_MS_MAX,
} from '../kernel/limits/stores.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { rows } from '../kernel/rows.ts'
import { respText, type Command } from './resp.ts'
import { gatherWrites } from './turn-writes.ts'

/** The node does not know a script. Nothing was done. */
export class NoScriptError extends Error {
  override readonly name = 'NoScriptError'
}

/** Redis answered with an error (OOM, LOADING, READONLY …). Nothing was done. */
export class RedisReplyError extends Error {
  override readonly name = 'RedisReplyError'
}

/** What the program asks of Redis. Replies are whole numbers, strings, null and arrays of them. */
export interface RedisStore {
  /**
   * Sends one command once: never again after a loss of the connection. All commands of one turn
   * of the event loop share a write. Throws UnknownOutcomeError when no answer came in
   * REDIS_COMMAND_MS_MAX, NoScriptError, RedisReplyError.
   */
  send(...command: Command): Promise<unknown>
  /** The same for a command that is not complete before it is written: `build` is called then. */
  sendLate(build: () => Command): Promise<unknown>
  /** Calls back each time the connection was made again. */
  onReconnect(listener: () => void): void
  close(): Promise<void>
}

interface Waiting {
  readonly build: () => Command
  resolve(reply: unknown): void
  reject(error: Error): void
}

/**
 * Opens a connection to `url` (redis:, rediss:, with ACL user and database) and keeps it open. A
 * Redis that is away makes commands fail, not this call. Source: design §4.
 */
export function openRedis({ url, log }: { url: string; log: Log }): RedisStore {
  const redis = connect(url, log)
  const listeners: (() => void)[] = []
  let batch: Batch | null = null
  let readies = 0
  let unanswered = 0 // batches

  const flush = () => {
    if (batch === null || redis.status !== 'ready') return
    clearTimeout(batch.gathering)
    unanswered += 1
    write(redis, batch, () => {
      unanswered -= 1
      flush()
    })
    batch = null
  }
  const startBatch = (): Batch => {
    const started: Batch = { items: [], timer: undefined, gathering: undefined }
    rows.commands(() => {
      started.timer = setTimeout(() => {
        // What has not been sent by now never will be.
        if (batch === started) batch = null
        expire(started)
      }, REDIS_COMMAND_MS_MAX)
      if (batch !== started) return
      // While Redis works on a batch the next one grows: fewer, larger calls for both sides.
      if (unanswered === 0) flush()
      else started.gathering = setTimeout(flush, REDIS_GATHER_MS_MAX)
    })
    return started
  }
  redis.on('ready', () => {
    readies += 1
    if (readies > 1) for (const listener of listeners) listener()
    flush()
  })

  const sendLate = (build: () => Command): Promise<unknown> =>
    new Promise((resolve, reject) => {
      batch ??= startBatch()
      if (batch.items.length >= REDIS_QUEUE_MAX) {
        reject(new UnknownOutcomeError('too many commands wait for Redis'))
      } else {
        batch.items.push({ build, resolve, reject })
      }
    })

  return {
    send: (...command) => sendLate(() => command),
    sendLate,
    onReconnect(listener) {
      listeners.push(listener)
    },
    close() {
      redis.disconnect()
      return Promise.resolve()
    },
  }
}

/** Commands of one turn of the event loop: one write, one timer. */
interface Batch {
  readonly items: Waiting[]
  timer: NodeJS.Timeout | undefined
  gathering: NodeJS.Timeout | undefined
}

function expire({ items, gathering }: Batch): void {
  clearTimeout(gathering)
  const error = new UnknownOutcomeError(`no answer in ${REDIS_COMMAND_MS_MAX} ms`)
  for (const one of items) one.reject(error)
}

/** Written here: ioredis takes twice as much for each argument. */
class Written extends IoCommand {
  readonly #text: string

  constructor(command: Command) {
    super(command[0], [], { replyEncoding: 'utf8' })
    this.#text = respText(command)
  }

  override toWritable(): string {
    return this.#text
  }
}

/** Not by a pipeline of ioredis, which costs more than what it carries here. */
function write(redis: Redis, batch: Batch, answered: () => void): void {
  gatherWrites(redis.stream)
  let open = batch.items.length
  const done = (): void => {
    open -= 1
    if (open > 0) return
    clearTimeout(batch.timer) // set after the write where answers to others came first
    answered()
  }
  for (const one of batch.items) {
    const command = new Written(one.build())
    redis.sendCommand(command)
    command.promise.then(
      (reply: unknown) => {
        one.resolve(reply)
        done()
      },
      (error: unknown) => {
        one.reject(faultOf(error))
        done()
      },
    )
  }
}

function connect(url: string, log: Log): Redis {
  const redis = new Redis(url, {
    protocol: 2,
    // A command is sent once or not at all: who asked repeats it, with the same ids.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    enableReadyCheck: true,
    connectTimeout: REDIS_COMMAND_MS_MAX,
    socketTimeout: REDIS_SILENCE_MS_MAX,
    retryStrategy: (times) => Math.min(times * 25, 1_000),
    // A master that became a replica refuses writes: connect anew, where the name leads now.
    reconnectOnError: (error) => (error.message.startsWith('READONLY') ? 1 : false),
  })
  redis.on('error', (error: unknown) => {
    log.warn({ error: describeError(error) }, 'redis connection')
  })
  return redis
}

/** Tells an answer of Redis from the lack of one. */
function faultOf(error: unknown): Error {
  if (error instanceof Error && error.name === 'ReplyError') {
    if (error.message.startsWith('NOSCRIPT')) return new NoScriptError(error.message)
    return new RedisReplyError(error.message)
  }
  return new UnknownOutcomeError(describeError(error), { cause: error })
}
