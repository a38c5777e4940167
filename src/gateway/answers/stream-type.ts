import type { Protocol } from '../../protocols/protocol.ts'

/** Whether an answer of this content type is a stream in its protocol's own form. */
export function isStreamType(
  { streamType }: Protocol,
  contentType: string | readonly string[] | undefined,
): boolean {
  if (streamType === undefined || typeof contentType !== 'string') return false
  return contentType.toLowerCase().startsWith(streamType)
}
