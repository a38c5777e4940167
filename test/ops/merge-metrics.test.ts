import { expect, it } from 'vitest'
import { mergeMetrics } from '../../src/ops/merge-metrics.ts'
import { makeMetrics } from '../../src/ops/metrics.ts'

it('puts the samples of several processes under one head, none added up or lost', async () => {
  const [one, two] = [makeMetrics(1), makeMetrics(2)]
  one.deferred()
  two.deferred()
  two.deferred()
  const merged = mergeMetrics([await one.text(), await two.text()])
  expect(merged.match(/# TYPE farebox_deferred_total counter/g)).toHaveLength(1)
  expect(merged).toContain(
    'farebox_deferred_total{worker="1"} 1\nfarebox_deferred_total{worker="2"} 2\n',
  )
  const samples = (text: string): number =>
    text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length
  expect(samples(merged)).toBe(samples(await one.text()) + samples(await two.text()))
})
