import type { Claim, Link } from './rows.ts'

/** What a link opens now. */
export type Looked =
  | { readonly state: 'open'; readonly claim: Claim; readonly expiresAtMs: number }
  | { readonly state: 'claimed'; readonly claim: Claim }
  | { readonly state: 'expired' | 'unknown' }

/** What a link is worth at `nowMs`. Links of earlier rounds have ended, whatever they say. */
export function judge(link: Link | null, nowMs: number): Looked {
  if (link === null) return { state: 'unknown' }
  const { claim, round, expiresAtMs } = link
  if (round !== claim.round) return { state: 'expired' }
  if (claim.state === 'claimed') return { state: 'claimed', claim }
  return expiresAtMs <= nowMs ? { state: 'expired' } : { state: 'open', claim, expiresAtMs }
}
