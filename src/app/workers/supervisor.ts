import cluster, { type Worker } from 'node:cluster'
import type { Clock } from '../../kernel/clock.ts'
import {
  WORKER_RESTART_MS_MAX,
  WORKER_RESTART_MS_MIN,
  WORKER_STEADY_MS,
  WORKER_STOP_GRACE_MS,
} from '../../kernel/limits/processes.ts'
import type { Log } from '../../kernel/log.ts'
import { makeMetricsCollector } from './collect-metrics.ts'
import { readMessage, type Message } from './messages.ts'

export interface SupervisorOptions {
  readonly count: number
  readonly shutdownMs: number
  readonly clock: Clock
  readonly log: Log
  /** Called once, when all of them listen. */
  readonly ready: (port: number) => void
}

interface Slot {
  /** From 1: the value of the label `worker` in metrics. */
  readonly number: number
  worker: Worker | null
  startedMs: number
  pauseMs: number
  restarts: number
  cancelRestart: () => void
}

/**
 * Runs `count` gateways on one port until a signal ends them. One that dies is started again, after
 * a pause that doubles while it keeps dying young. One that cannot even start at first ends
 * everything with its exit code. Answers the exit code. Source: design §10 (WORKERS).
 */
export function supervise(options: SupervisorOptions): Promise<number> {
  return new Promise((resolve) => {
    // Waiting to start a worker again keeps no process alive, and there may be no worker left.
    const stay = setInterval(() => undefined, WORKER_RESTART_MS_MAX)
    const end = (code: number): void => {
      clearInterval(stay)
      resolve(code)
    }
    new Supervisor(options, end).begin()
  })
}

class Supervisor {
  readonly #options: SupervisorOptions
  readonly #resolve: (code: number) => void
  readonly #slots: Slot[]
  readonly #metrics: ReturnType<typeof makeMetricsCollector>
  readonly #listening = new Set<number>()
  #port = 0
  /** With PORT=0 a port is free for those that share it: the next ones have to ask for that one. */
  #samePort: { readonly PORT?: string } = {}
  #isUp = false
  #isStopping = false
  #code = 0

  constructor(options: SupervisorOptions, resolve: (code: number) => void) {
    this.#options = options
    this.#resolve = resolve
    this.#slots = Array.from({ length: options.count }, (_, index) => ({
      number: index + 1,
      worker: null,
      startedMs: 0,
      pauseMs: WORKER_RESTART_MS_MIN,
      restarts: 0,
      cancelRestart: () => undefined,
    }))
    this.#metrics = makeMetricsCollector(options.clock, () => this.#slots)
  }

  begin(): void {
    // All of them accept from one queue. Handed out here by turns, a connection given to a worker
    // that dies before it takes it would be kept unanswered until this process ends.
    cluster.schedulingPolicy = cluster.SCHED_NONE
    cluster.on('listening', (worker, { port }) => {
      this.#listens(worker, port)
    })
    cluster.on('exit', (worker, code, signal) => {
      this.#ended(worker, code, signal)
    })
    cluster.on('message', (worker, value: unknown) => {
      const said = readMessage(value)
      if (said !== null) this.#metrics.heard(worker, said)
    })
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        this.#stop()
      })
    }
    process.on('SIGHUP', () => {
      this.#tell({ farebox: 'reload' })
    })
    const [first] = this.#slots // the others wait for it: one migrates
    if (first !== undefined) this.#start(first)
  }

  #start(slot: Slot): void {
    slot.startedMs = this.#options.clock.monotonicMs()
    slot.worker = cluster.fork({ FAREBOX_WORKER: String(slot.number), ...this.#samePort })
    const pid = slot.worker.process.pid ?? 0
    this.#options.log.info({ worker: slot.number, worker_pid: pid }, 'worker started')
  }

  #listens(worker: Worker, port: number): void {
    const slot = this.#slots.find((one) => one.worker === worker)
    if (slot === undefined || this.#isStopping) return
    this.#listening.add(slot.number)
    if (this.#isUp) {
      // It had begun to start when the last one that had the port ended.
      if (port !== this.#port) worker.process.kill('SIGKILL')
      return
    }
    this.#port = port
    for (const other of this.#slots) if (other.worker === null) this.#start(other)
    if (this.#listening.size < this.#slots.length) return
    this.#isUp = true
    this.#options.ready(port)
  }

  #ended(worker: Worker, code: number, signal: string | null): void {
    const slot = this.#slots.find((one) => one.worker === worker)
    if (slot === undefined) return
    slot.worker = null
    const isLast = this.#listening.delete(slot.number) && this.#listening.size === 0
    if (this.#isStopping) {
      // Only before it hears us does a worker heed signals, which may go to the whole group.
      const isYoung = signal === 'SIGTERM' || signal === 'SIGINT'
      if (code !== 0 && !isYoung) this.#code = Math.max(this.#code, 1)
      if (this.#slots.every((one) => one.worker === null)) this.#resolve(this.#code)
    } else if (this.#isUp) {
      if (isLast) this.#tellOfNone()
      this.#startLater(slot, code, signal)
    } else {
      this.#code = code === 0 ? 1 : code
      this.#stop()
    }
  }

  #tellOfNone(): void {
    this.#samePort = { PORT: String(this.#port) }
    this.#options.log.error(
      { port: this.#port },
      'no worker is left: nobody serves until one is back',
    )
  }

  #startLater(slot: Slot, code: number, signal: string | null): void {
    const { clock, log } = this.#options
    const livedMs = clock.monotonicMs() - slot.startedMs
    if (livedMs >= WORKER_STEADY_MS) slot.pauseMs = WORKER_RESTART_MS_MIN
    const fields = { worker: slot.number, code, signal, again_in_ms: slot.pauseMs }
    log.error(fields, 'a worker ended and is started again')
    slot.restarts += 1
    slot.cancelRestart = clock.after(slot.pauseMs, () => {
      this.#start(slot)
    })
    slot.pauseMs = Math.min(slot.pauseMs * 2, WORKER_RESTART_MS_MAX)
  }

  #tell(said: Message): void {
    for (const { worker } of this.#slots) {
      if (worker?.isConnected() === true) worker.send(said, () => undefined)
    }
  }

  /** In order; called again: at once. */
  #stop(): void {
    if (this.#isStopping) {
      this.#kill()
      return
    }
    this.#isStopping = true
    for (const slot of this.#slots) slot.cancelRestart()
    if (this.#slots.every(({ worker }) => worker === null)) {
      this.#resolve(this.#code)
      return
    }
    this.#tell({ farebox: 'stop' })
    // Closes the port here as well: the kernel would go on to queue connections for nobody.
    for (const { worker } of this.#slots) worker?.disconnect()
    const { clock, log, shutdownMs } = this.#options
    clock.after(shutdownMs + WORKER_STOP_GRACE_MS, () => {
      log.error({}, 'workers that do not stop are killed')
      this.#kill()
    })
  }

  #kill(): void {
    this.#code = 1
    for (const { worker } of this.#slots) worker?.process.kill('SIGKILL')
  }
}
