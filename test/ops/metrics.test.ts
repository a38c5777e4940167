import Fastify from 'fastify'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/kernel/clock.ts'
import { LABEL_VALUES_MAX } from '../../src/kernel/limits/processes.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { makeHealth } from '../../src/ops/health.ts'
import { makeMetrics } from '../../src/ops/metrics.ts'
import { opsPlugin } from '../../src/ops/plugin.ts'

const request = (upstream: string, status = 200) => ({
  protocol: 'openai-chat',
  upstream,
  status,
  estimated: true,
  beforeMs: 0.4,
  afterMs: null,
})

describe('metrics', () => {
  it('count requests by protocol, upstream and class of status', async () => {
    const metrics = makeMetrics()
    metrics.requestDone(request('openai'))
    metrics.requestDone(request('openai', 402))
    metrics.requestDone(request('', 404))
    const text = await metrics.text()
    const line = (upstream: string, status: string) =>
      `farebox_requests_total{protocol="openai-chat",upstream="${upstream}",status="${status}"} 1`
    expect(text).toContain(line('openai', '2xx'))
    expect(text).toContain(line('openai', '4xx'))
    expect(text).toContain(line('none', '4xx'))
    expect(text).toContain('farebox_estimated_total{upstream="openai"} 2')
    expect(text).toContain('farebox_overhead_before_seconds_count{protocol="openai-chat"} 3')
    expect(text).not.toContain('farebox_overhead_after_seconds_count{')
  })

  it('add up revenue and provider cost by upstream', async () => {
    const metrics = makeMetrics()
    metrics.earned('openai', 0.012, 0.01)
    metrics.earned('openai', 0, 0.002)
    metrics.earned('local', 1, 0)
    const text = await metrics.text()
    expect(text).toContain('farebox_revenue_usd_total{upstream="openai"} 0.012')
    expect(text).toContain('farebox_provider_cost_usd_total{upstream="openai"} 0.012')
    expect(text).toContain('farebox_revenue_usd_total{upstream="local"} 1')
    expect(text).toContain('farebox_provider_cost_usd_total{upstream="local"} 0')
  })

  it('keep the number of series bounded, whatever upstreams are called', async () => {
    const metrics = makeMetrics()
    for (let n = 0; n < 500; n += 1) metrics.requestDone(request(`made-up-${n}`))
    const series = (await metrics.text())
      .split('\n')
      .filter((line) => line.startsWith('farebox_requests_total{'))
    expect(series).toHaveLength(LABEL_VALUES_MAX + 1)
  })

  it('read holds, backlog and breaker at each scrape', async () => {
    const metrics = makeMetrics()
    let open = 3
    metrics.watch({
      openHolds: () => open,
      backlog: () => ({ count: 7, bytes: 900, oldestMs: 1500 }),
      breakerOpen: () => true,
      cachedKeys: () => 2,
      drains: () => 0,
      requestBodiesBytes: () => 5,
    })
    expect(await metrics.text()).toContain('farebox_open_holds 3')
    open = 0
    const text = await metrics.text()
    for (const line of [
      'open_holds 0',
      'backlog_receipts 7',
      'backlog_age_seconds 1.5',
      'post_breaker_open 1',
    ]) {
      expect(text).toContain(`farebox_${line}\n`)
    }
  })

  it('are served beside the health checks', async () => {
    const metrics = makeMetrics()
    metrics.recovered('released')
    metrics.posted({ receipts: 3, durationMs: 4, ok: true })
    metrics.loaded('account', 'drift')
    metrics.loopRan('sweep', false, 4)
    metrics.deferred()
    let draining = false
    const run = () => {
      if (draining) throw new Error('draining')
    }
    const checks = [{ name: 'draining', needed: 'always' as const, run }]
    const health = makeHealth({ clock: systemClock, log: silentLog, checks })
    const app = Fastify()
    await app.register(opsPlugin, { health, metrics, version: '1.2.3' })
    expect((await app.inject('/healthz')).json()).toEqual({ status: 'ok', version: '1.2.3' })
    expect((await app.inject('/readyz')).statusCode).toBe(200)
    draining = true
    expect((await app.inject('/readyz')).statusCode).toBe(503)
    const scraped = await app.inject('/metrics')
    expect(scraped.headers['content-type']).toContain('text/plain')
    for (const name of ['recoveries', 'loads', 'deferred']) {
      expect(scraped.body).toMatch(new RegExp(`^farebox_${name}_total(\\{.*\\})? 1$`, 'm'))
    }
    await app.close()
  })
})
