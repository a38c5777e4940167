import cluster from 'node:cluster'
import { sleep, type Clock } from '../../kernel/clock.ts'
import { WORKER_METRICS_MS_MAX } from '../../kernel/limits/processes.ts'
import { readMessage, type Message } from './messages.ts'

/** Who tells this process to stop or to read its configuration again, and who else serves. */
export interface Control {
  /** In the place of the listener before. */
  onStop(listener: () => void): void
  onReload(listener: () => void): void
  /**
   * Does what keeps the event loop busy for seconds, in which no listener would be called, and may
   * be cut off anywhere: a signal ends the process at once.
   */
  unheard<T>(work: () => Promise<T>): Promise<T>
  /** Where this process's metrics are had from. */
  shows(own: () => Promise<string>): void
  /** The metrics of all processes. */
  metrics(): Promise<string>
  /** Lets go of the supervisor, so that the process can end. */
  leave(): void
}

/** A process of its own listens to signals. */
export function signalControl(): Control {
  let own: () => Promise<string> = () => Promise.resolve('')
  let stop = (): void => undefined
  const heard = (): void => {
    stop()
  }
  const signals = ['SIGTERM', 'SIGINT'] as const
  for (const signal of signals) process.on(signal, heard)
  return {
    async unheard(work) {
      // The kernel ends no first process of a container by a signal that it does not listen to.
      if (process.pid === 1) return work()
      for (const signal of signals) process.off(signal, heard)
      try {
        return await work()
      } finally {
        for (const signal of signals) process.on(signal, heard)
      }
    },
    shows(given) {
      own = given
    },
    onStop(listener) {
      stop = listener
    },
    onReload(listener) {
      process.on('SIGHUP', listener)
    },
    metrics: () => own(),
    leave: () => undefined,
  }
}

function send(said: Message): void {
  process.send?.(said, undefined, undefined, () => undefined)
}

/**
 * A worker obeys its supervisor, not signals: a terminal and service managers send those to the
 * whole group, and twice would mean at once.
 */
export function workerControl(clock: Clock): Control {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined)
  const listeners = { stop: (): void => undefined, reload: (): void => undefined }
  const waiting = new Map<number, (text: string) => void>()
  let own: () => Promise<string> = () => Promise.resolve('')
  let asked = 0
  let isStopping = false
  const stop = (): void => {
    if (isStopping) return
    isStopping = true
    listeners.stop()
  }
  // The supervisor lets go right after it has said so; what came before this process heard is lost.
  process.on('disconnect', stop)
  process.on('message', (value: unknown) => {
    const said = readMessage(value)
    if (said === null) return
    if (said.farebox === 'stop') stop()
    else if (said.farebox === 'metrics') waiting.get(said.id)?.(said.text)
    else if (said.farebox === 'reload') listeners.reload()
    else {
      const { id } = said
      own().then(
        (text) => {
          send({ farebox: 'metrics', id, text })
        },
        () => undefined, // counted as silent by the supervisor
      )
    }
  })
  return {
    onStop(listener) {
      listeners.stop = listener
      if (!process.connected) stop()
    },
    onReload(listener) {
      listeners.reload = listener
    },
    unheard: (work) => work(), // its supervisor kills it in the end
    async metrics() {
      asked += 1
      const id = asked
      const answer = new Promise<string>((resolve) => waiting.set(id, resolve))
      send({ farebox: 'ask-metrics', id })
      try {
        return await Promise.race([answer, sleep(clock, 2 * WORKER_METRICS_MS_MAX).then(own)])
      } finally {
        waiting.delete(id)
      }
    },
    leave() {
      if (isStopping) return // the supervisor lets go, and only once
      isStopping = true
      cluster.worker?.disconnect()
    },
    shows(given) {
      own = given
    },
  }
}

/** What `/metrics` answers: those of all processes. */
export const scrapedBy = (
  control: Pick<Control, 'metrics'>,
  { contentType }: { readonly contentType: string },
): { readonly contentType: string; text(): Promise<string> } => ({
  contentType,
  text: () => control.metrics(),
})
