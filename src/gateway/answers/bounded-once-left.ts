import type { ServerResponse } from 'node:http'
import type { Clock } from '../../kernel/clock.ts'
import { DRAIN_MS_MAX } from '../../kernel/limits/answers.ts'
import type { BodySink, Flow } from '../forward.ts'

/**
 * An answer whose client has left is read on for DRAIN_MS_MAX, then cut off: it ends as one that
 * its upstream broke off. Without that an upstream that sends a byte now and then would have its
 * hold renewed for ever.
 */
export function boundedOnceLeft(
  clock: Clock,
  out: ServerResponse,
  flow: Flow,
  sink: BodySink,
): BodySink {
  let cancel = (): void => undefined
  const left = (): void => {
    cancel = clock.after(DRAIN_MS_MAX, flow.abort)
  }
  const over = (): void => {
    out.off('close', left)
    cancel()
  }
  if (out.destroyed) left()
  else out.once('close', left)
  return {
    data(chunk) {
      sink.data(chunk)
    },
    end() {
      over()
      sink.end()
    },
    fail(error) {
      over()
      sink.fail(error)
    },
  }
}
