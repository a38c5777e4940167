import { z } from 'zod'

/** What supervisor and workers say to each other. Everything else on the channel is not ours. */
const message = z.discriminatedUnion('farebox', [
  /** To a worker: stop in order. */
  z.object({ farebox: z.literal('stop') }),
  /** To a worker: read the configuration again. */
  z.object({ farebox: z.literal('reload') }),
  /** To the supervisor: everybody's metrics, please. To a worker: yours. */
  z.object({ farebox: z.literal('ask-metrics'), id: z.int() }),
  /** The answer, either way. */
  z.object({ farebox: z.literal('metrics'), id: z.int(), text: z.string() }),
])

export type Message = z.infer<typeof message>

export const readMessage = (value: unknown): Message | null => message.safeParse(value).data ?? null
