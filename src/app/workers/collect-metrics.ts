import type { Worker } from 'node:cluster'
import type { Clock } from '../../kernel/clock.ts'
import { WORKER_METRICS_MS_MAX } from '../../kernel/limits/processes.ts'
import { mergeMetrics } from '../../ops/merge-metrics.ts'
import type { Message } from './messages.ts'

interface Member {
  readonly number: number
  readonly worker: Worker | null
  readonly restarts: number
}

interface Round {
  readonly texts: Map<number, string>
  readonly finish: () => void
}

function send(worker: Worker, said: Message): void {
  if (worker.isConnected()) worker.send(said, () => undefined)
}

/** What only the supervisor knows: who answered, and how often each was started again. */
function ownText(members: readonly Member[], answered: ReadonlyMap<number, string>): string {
  const lines = (name: string, value: (one: Member) => number): string[] =>
    members.map((one) => `${name}{worker="${one.number}"} ${value(one)}`)
  return [
    '# HELP farebox_worker_up 1 where the worker answered this scrape.',
    '# TYPE farebox_worker_up gauge',
    ...lines('farebox_worker_up', ({ number }) => Number(answered.has(number))),
    '# HELP farebox_worker_restarts_total Times the worker ended unasked and was started again.',
    '# TYPE farebox_worker_restarts_total counter',
    ...lines('farebox_worker_restarts_total', ({ restarts }) => restarts),
    '',
  ].join('\n')
}

/** Gathers all workers' metrics for the one that was scraped. A silent one is left out. */
export function makeMetricsCollector(
  clock: Clock,
  members: () => readonly Member[],
): { heard(worker: Worker, said: Message): void } {
  const rounds = new Map<number, Round>()
  let count = 0

  function gather(asker: Worker, id: number): void {
    count += 1
    const round = count
    const texts = new Map<number, string>()
    const finish = (): void => {
      if (!rounds.delete(round)) return
      cancel()
      const inOrder = [...texts].sort(([a], [b]) => a - b).map(([, text]) => text)
      const text = mergeMetrics([ownText(members(), texts), ...inOrder])
      send(asker, { farebox: 'metrics', id, text })
    }
    const cancel = clock.after(WORKER_METRICS_MS_MAX, finish)
    rounds.set(round, { texts, finish })
    for (const { worker } of members()) {
      if (worker !== null) send(worker, { farebox: 'ask-metrics', id: round })
    }
  }

  return {
    heard(worker, said) {
      if (said.farebox === 'ask-metrics') gather(worker, said.id)
      if (said.farebox !== 'metrics') return
      const round = rounds.get(said.id)
      const member = members().find((one) => one.worker === worker)
      if (round === undefined || member === undefined) return
      round.texts.set(member.number, said.text)
      if (round.texts.size === members().filter((one) => one.worker !== null).length) round.finish()
    },
  }
}
