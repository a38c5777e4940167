import { Counter, Gauge, type Registry } from 'prom-client'

interface Backlog {
  readonly pending: number
  readonly dead: number
}

export interface NotifyMetrics {
  /** One try: sent, skipped (nobody to tell), pending (again later) or dead (given up). */
  notified(channel: 'email' | 'webhook', result: 'sent' | 'skipped' | 'pending' | 'dead'): void
  /** Reads the outbox at each scrape from now on; a failed read leaves the old value. */
  watchNotifications(read: () => Promise<Backlog>): void
}

export function makeNotifyMetrics(registers: Registry[]): NotifyMetrics {
  const tries = new Counter({
    name: 'farebox_notification_tries_total',
    help: 'Tries to deliver a notification, by channel and result.',
    labelNames: ['channel', 'result'] as const,
    registers,
  })
  return {
    notified: (channel, result) => {
      tries.inc({ channel, result })
    },
    watchNotifications(read) {
      const waiting = new Gauge({
        name: 'farebox_notifications',
        help: 'Notifications that wait (pending) or were given up (dead).',
        labelNames: ['state'] as const,
        registers,
        async collect() {
          const backlog = await read().catch(() => null)
          if (backlog === null) return
          waiting.set({ state: 'pending' }, backlog.pending)
          waiting.set({ state: 'dead' }, backlog.dead)
        },
      })
    },
  }
}
