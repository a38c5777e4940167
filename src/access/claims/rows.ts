import { z } from 'zod'
import { keyLimits } from '../rows.ts'

const shared = {
  id: z.string(),
  purchase: z.string(),
  account_id: z.string(),
  item_kind: z.enum(['pack', 'plan']),
  item_id: z.string(),
  limits: keyLimits,
  state: z.enum(['open', 'claimed']),
  round: z.number(),
  key_id: z.string().nullable(),
  claimed_by: z.instanceof(Uint8Array).nullable(),
  claimed_at: z.number().nullable(),
  created_at: z.number(),
}
const row = z.object(shared)

const fromRow = (one: z.output<typeof row>) => ({
  id: one.id,
  purchase: one.purchase,
  accountId: one.account_id,
  itemKind: one.item_kind,
  itemId: one.item_id,
  limits: one.limits,
  state: one.state,
  round: one.round,
  keyId: one.key_id,
  claimedBy: one.claimed_by,
  claimedAtMs: one.claimed_at,
  createdAtMs: one.created_at,
})

/** A key that came with a purchase: to be claimed, or claimed. Times in Unix ms. */
export const claimRow = row.transform(fromRow)
export type Claim = z.output<typeof claimRow>

/** With the end of its latest link; null = it has none. */
export const listedClaimRow = z
  .object({ ...shared, link_expires_at: z.number().nullable() })
  .transform((one) => ({ ...fromRow(one), linkExpiresAtMs: one.link_expires_at }))
export type ListedClaim = z.output<typeof listedClaimRow>

/** A link, with the claim that it is of. */
export const linkRow = z
  .object({ ...shared, link_round: z.number(), link_expires_at: z.number() })
  .transform((one) => ({
    claim: fromRow(one),
    round: one.link_round,
    expiresAtMs: one.link_expires_at,
  }))
export type Link = z.output<typeof linkRow>
