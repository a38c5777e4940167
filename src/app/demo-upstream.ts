import { demoReady, startDemoProcess } from './demo-process.ts'

/** The demo upstream as a process of its own; it ends with this one. */
export interface DemoUpstream {
  readonly baseUrl: string
  stop(): void
}

/** Starts it on a free port. Throws when it does not come up within `waitMs`. */
export const startDemoUpstream = (waitMs: number): Promise<DemoUpstream> =>
  startDemoProcess('upstream', [], demoReady, waitMs)
