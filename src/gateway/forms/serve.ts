import type { IncomingMessage } from 'node:http'
import { encodingRefusal } from '../../kernel/content-encoding.ts'
import { isRefusal, refuse, type Refusal } from '../../kernel/errors.ts'
import { FORM_DRAIN_BYTES_MAX } from '../../kernel/limits/forms.ts'
import { describeError } from '../../kernel/log.ts'
import { makeFormScan, type FormScan } from '../../protocols/form-scan.ts'
import { modelOf } from '../../protocols/form.ts'
import type { FormReader } from '../../protocols/protocol.ts'
import type { Arrival, GatewayDeps } from '../context.ts'
import { refuseAtOnce } from '../bound.ts'
import { handle } from '../handle.ts'
import { refuseRequest } from '../reply.ts'
import { makeSentForm, soundsOf } from './sent-form.ts'
import { declaredBytes, receiveForm, tooLarge, type Upload } from './upload.ts'

const BROKEN = refuse('internal_error', 'Something went wrong here. Try again.')
const EMPTY = refuse('invalid_json', 'The request body is empty; send a form.')

/** An arrival but for what its body tells. */
export type Coming = Omit<Arrival, 'view' | 'raw' | 'sent' | 'exactly'>

/** What is wrong with a form before its first byte; else what will read it. */
function scanOf({ headers }: IncomingMessage, forms: FormReader): FormScan | Refusal {
  const encoded = encodingRefusal(headers)
  if (encoded !== null) return encoded
  if ((declaredBytes({ headers }) ?? 0) > forms.bytesMax) return tooLarge(forms.bytesMax)
  return makeFormScan(headers['content-type'] ?? '', forms.fileHeadBytes)
}

/**
 * Takes a form. One up to FORM_MEMORY_BYTES is taken whole. Of a longer one the price is bounded by
 * its beginning where that is enough, and it goes on while it comes; else it is kept until it has
 * come whole, as is one with an idempotency key, which stands for all of its bytes, and one whose
 * account does not pay for the worst that may follow. Source: design §2.2.
 */
export function serveForm(
  deps: GatewayDeps,
  forms: FormReader,
  coming: Coming,
  request: IncomingMessage,
): void {
  const { out, id } = coming
  const refuseWith = (refusal: Refusal): void => {
    refuseRequest(deps, coming, refusal)
  }
  const cutOff = (): void => {
    if (!out.headersSent) out.setHeader('connection', 'close')
  }
  const scan = scanOf(request, forms)
  if (isRefusal(scan)) {
    if ((declaredBytes(request) ?? Infinity) > FORM_DRAIN_BYTES_MAX) cutOff()
    request.resume()
    refuseWith(scan)
    return
  }
  const { bytesMax } = forms
  const store = deps.forms.open(coming.caller.accountId)
  const upload = receiveForm({ request, scan, store, bytesMax, cutOff, log: deps.log })
  take(deps, forms, coming, upload)
    .then((arrival) => {
      if (!isRefusal(arrival)) {
        handle(deps, arrival)
        return
      }
      upload.close()
      refuseWith(arrival)
    })
    .catch((error: unknown) => {
      upload.close()
      deps.log.error({ request_id: id, error: describeError(error) }, 'request failed')
      refuseWith(BROKEN)
    })
}

const NOTHING = Buffer.alloc(0)

async function take(
  deps: GatewayDeps,
  forms: FormReader,
  coming: Coming,
  upload: Upload,
): Promise<Arrival | Refusal> {
  const exactly = (): Promise<Arrival | Refusal> => takeWhole(deps, forms, coming, upload)
  await upload.begun
  const isNamed = coming.headers['idempotency-key'] !== undefined
  const bodyBytesMax = upload.bytes ?? forms.bytesMax
  const begun = upload.isOver || isNamed ? null : forms.begin?.(upload.soFar(), bodyBytesMax)
  if (begun == null) return (isNamed ? null : await barred(deps, coming, upload)) ?? exactly()
  const sounds = soundsOf(upload, deps.sounds, coming.caller.accountId)
  const sent = makeSentForm(upload, begun, sounds)
  return { ...coming, view: begun.view, raw: NOTHING, sent, exactly }
}

/**
 * Why it is refused whatever follows, in the order in which any request is; null = nothing is known
 * against it. What is known of the caller may be older than what a reserve goes by: that is asked.
 */
async function barred(
  deps: GatewayDeps,
  { protocol, caller, startedAtMs }: Coming,
  upload: Upload,
): Promise<Refusal | null> {
  if (upload.isOver) return null
  const model = modelOf(upload.soFar())
  const refusal = model === null ? null : refuseAtOnce(deps, protocol, caller, model, startedAtMs)
  if (refusal !== null || caller.accountStatus === 'active') return refusal
  return deps.holds.blocked(caller.accountId)
}

async function takeWhole(
  deps: GatewayDeps,
  forms: FormReader,
  coming: Coming,
  upload: Upload,
): Promise<Arrival | Refusal> {
  const form = await upload.over
  if (!form.ok) return upload.received === 0 ? EMPTY : form
  const sounds = soundsOf(upload, deps.sounds, coming.caller.accountId)
  const view = await forms.read(form, sounds)
  if (!view.ok) return view
  return { ...coming, view, raw: NOTHING, sent: makeSentForm(upload, null, sounds) }
}
