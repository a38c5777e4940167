import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { refuse, type Refusal } from '../../kernel/errors.ts'
import { FORM_READ_BYTES } from '../../kernel/limits/forms.ts'
import type { BegunForm, FormSounds, SoundReader } from '../../protocols/protocol.ts'
import type { Upload } from './upload.ts'

/** The body of a request that is a form, from where it is kept. */
export interface SentForm {
  /** null = not known yet. */
  readonly bytes: number | null
  /** It still comes: whoever takes it waits for the client. */
  readonly isComing: boolean
  /** Why it was not sent to its end, null = nothing kept it. No failure of the upstream. */
  readonly stopped: Refusal | null
  /** A body to send, from its beginning; its end comes only while `isFresh`, the hold, stands. */
  body(isFresh: () => boolean | Promise<boolean>): Readable
  /** Its bytes, all of which have come. */
  chunks(): AsyncIterable<Buffer>
  close(): void
}

const nobody = (): undefined => undefined
const LOST = refuse('gateway_unavailable', 'The hold was lost. Try again.')

/** Reads the sounds of an upload. */
export const soundsOf = (upload: Upload, sounds: SoundReader, owner: string): FormSounds => ({
  seconds: (part) => sounds.seconds(() => upload.bytesOf(part), owner),
})

/** From memory nothing has to be waited for: the event loop gets its turns all the same. */
async function* inTurns(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    yield chunk
    await setImmediate()
  }
}

/** `begun` null = all of it has come and was bounded by that. */
export function makeSentForm(
  upload: Upload,
  begun: BegunForm | null,
  sounds: FormSounds,
): SentForm {
  const check = async (): Promise<Refusal | null> => {
    const form = await upload.over
    return form.ok ? ((await begun?.end(form, sounds)) ?? null) : form
  }
  let checking: Promise<Refusal | null> | null = null
  let stopped: Refusal | null = null
  return {
    get bytes() {
      return upload.bytes
    },
    get isComing() {
      return !upload.isOver
    },
    get stopped() {
      return stopped
    },
    body(isFresh) {
      const gate = async (): Promise<Refusal | null> =>
        (await (checking ??= check())) ?? ((await isFresh()) ? null : LOST)
      const options = { objectMode: false, highWaterMark: FORM_READ_BYTES }
      const body = upload.send(gate, (refusal) => {
        stopped = refusal
      })
      return Readable.from(body, options)
    },
    chunks: () => inTurns(upload.send(() => Promise.resolve(null), nobody)),
    close() {
      upload.close()
    },
  }
}
