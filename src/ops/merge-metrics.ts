const NAME = /^# (?:HELP|TYPE) (\S+)/

/**
 * Several processes' Prometheus texts as one: each metric once, with the samples of all. The
 * processes tell their samples apart by a label; nothing is added up, so that one that starts anew
 * resets its own counters only.
 */
export function mergeMetrics(texts: readonly string[]): string {
  const metrics = new Map<string, { head: Set<string>; samples: string[] }>()
  for (const text of texts) {
    let current = { head: new Set<string>(), samples: [] as string[] }
    for (const line of text.split('\n')) {
      const name = NAME.exec(line)?.[1]
      if (name !== undefined) {
        current = metrics.get(name) ?? { head: new Set<string>(), samples: [] }
        metrics.set(name, current)
        current.head.add(line)
      } else if (line !== '') current.samples.push(line)
    }
  }
  return [...metrics.values()]
    .map(({ head, samples }) => `${[...head, ...samples].join('\n')}\n`)
    .join('\n')
}
