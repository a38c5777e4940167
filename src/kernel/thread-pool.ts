import { makeFairQueue } from './fair-queue.ts'
import { makeRoom } from './room.ts'
import { makeThread, type Prepare, type Thread, type ThreadOptions } from './thread.ts'

export interface Job {
  readonly prepare: Prepare
  /** Owners take turns, and none fills the queue alone. Absent = one owner of them all. */
  readonly owner?: string
  /** Goes before all that is not. */
  readonly urgent?: boolean
}

export type Done<Answer> =
  | { readonly ok: true; readonly answer: Answer }
  /** Too much is open, or it waited too long. */
  | { readonly ok: false; readonly reason: 'busy' }
  /** Its thread died of it, or took too long over it. */
  | { readonly ok: false; readonly reason: 'lost' }

export interface ThreadPool<Answer> {
  /** Never rejects. */
  run(job: Job): Promise<Done<Answer>>
  /** Whatever is open is not done. */
  close(): Promise<void>
}

export interface ThreadPoolOptions extends ThreadOptions {
  readonly threads: number
  /** Jobs open at once, shared as in a `Room`. Urgent ones do not count. */
  readonly openMax: number
  /** A job that finds no free thread in this time is not done. */
  readonly waitMsMax: number
}

const BUSY = { ok: false, reason: 'busy' } as const
const LOST = { ok: false, reason: 'lost' } as const

interface Waiting<Answer> {
  readonly prepare: Job['prepare']
  /** Ends its waiting. */
  readonly take: () => void
  readonly settle: (done: Done<Answer>) => void
}

/**
 * Does what would keep the event loop busy in threads of its own, which start with the first job:
 * a job made to take long costs itself one thread until it is given up, and the others go on.
 */
export function makeThreadPool<Answer>(options: ThreadPoolOptions): ThreadPool<Answer> {
  const { clock, waitMsMax } = options
  const threads = Array.from({ length: options.threads }, () => makeThread<Answer>(options))
  const idle = [...threads]
  const urgent = makeFairQueue<Waiting<Answer>>()
  const usual = makeFairQueue<Waiting<Answer>>()
  const room = makeRoom(options.openMax)
  let isClosed = false

  async function work(thread: Thread<Answer>, { prepare, settle }: Waiting<Answer>): Promise<void> {
    const answer = await thread.run(prepare)
    settle(answer === null ? (isClosed ? BUSY : LOST) : { ok: true, answer })
    idle.unshift(thread) // the one that has started already
    takeNext()
  }

  function takeNext(): void {
    const next = isClosed || idle.length === 0 ? undefined : (urgent.next() ?? usual.next())
    const thread = next === undefined ? undefined : idle.shift()
    if (next === undefined || thread === undefined) return
    next.take()
    void work(thread, next)
  }

  return {
    run({ prepare, owner = '', urgent: isUrgent = false }) {
      if (isClosed || (!isUrgent && room.take(owner, 1) !== null)) return Promise.resolve(BUSY)
      const queue = isUrgent ? urgent : usual
      return new Promise((resolve) => {
        const settle = (done: Done<Answer>): void => {
          if (!isUrgent) room.give(owner, 1)
          resolve(done)
        }
        const cancel = clock.after(waitMsMax, () => {
          queue.remove(owner, mine)
          settle(BUSY)
        })
        const mine: Waiting<Answer> = { prepare, take: cancel, settle }
        queue.add(owner, mine)
        takeNext()
      })
    },
    async close() {
      isClosed = true
      for (const { take, settle } of [...urgent.empty(), ...usual.empty()]) {
        take()
        settle(BUSY)
      }
      await Promise.all(threads.map((thread) => thread.stop()))
    },
  }
}
