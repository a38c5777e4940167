import { z } from 'zod'
import type { ClaimLink } from '../claims/claims.ts'
import type { Claim } from '../claims/rows.ts'
import { isoOrNull } from './balance.ts'

/** A key that came with a purchase, as bodies show it. */
export const claimView = z.object({
  id: z.string(),
  account_id: z.string(),
  purchase: z.string(),
  item: z.object({ kind: z.enum(['pack', 'plan']), id: z.string() }),
  name: z.string(),
  state: z.enum(['open', 'claimed']),
  key_id: z.string().nullable(),
  created_at: z.string().nullable(),
  claimed_at: z.string().nullable(),
})

export const viewClaim = (claim: Claim): z.input<typeof claimView> => ({
  id: claim.id,
  account_id: claim.accountId,
  purchase: claim.purchase,
  item: { kind: claim.itemKind, id: claim.itemId },
  name: claim.limits.name,
  state: claim.state,
  key_id: claim.keyId,
  created_at: isoOrNull(claim.createdAtMs),
  claimed_at: isoOrNull(claim.claimedAtMs),
})

/** `url` opens the key's page. It is shown here and nowhere else. */
export const claimLinkView = claimView.extend({ url: z.string(), expires_at: z.string() })

export const viewClaimLink = (
  made: ClaimLink & { readonly claim: Claim },
): z.input<typeof claimLinkView> => ({
  ...viewClaim(made.claim),
  url: made.url,
  expires_at: new Date(made.expiresAtMs).toISOString(),
})

/** What a new link is asked for with. */
export const renewFields = {
  claim_id: z.uuid().optional().describe('Absent = the one that is not claimed.'),
  rotate: z.boolean().default(false).describe('Also for a claimed key: pressed, it replaces it.'),
}
