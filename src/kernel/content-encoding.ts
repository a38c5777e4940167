import type { IncomingHttpHeaders } from 'node:http'
import { refuse, type Refusal } from './errors.ts'

/** Bodies come as they are: nobody may make us unpack one. null = it is not packed. */
export function encodingRefusal({
  'content-encoding': encoding,
}: IncomingHttpHeaders): Refusal | null {
  if (encoding === undefined || encoding === '' || encoding.toLowerCase() === 'identity')
    return null
  return refuse(
    'unsupported_encoding',
    'Request bodies must not be compressed: remove the content-encoding header.',
  )
}
