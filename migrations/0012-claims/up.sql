-- Keys that come with a purchase, handed over once by a link. Source: design §8 (claim).

-- One key for each purchase; the key itself is made when its claim is pressed.
CREATE TABLE key_claims (
  id         uuid PRIMARY KEY,
  -- What it came with, unique for good: "checkout:cs_…", "invoice:in_…:il_…", "subscription:sub_…".
  purchase   text NOT NULL UNIQUE,
  account_id text NOT NULL REFERENCES accounts (id),
  item_kind  text NOT NULL CHECK (item_kind IN ('pack', 'plan')),
  item_id    text NOT NULL,
  -- What the key may do: as it was bought, or as the plan has it since.
  limits     jsonb NOT NULL,
  state      text NOT NULL CHECK (state IN ('open', 'claimed')),
  -- Rises with every new link that is asked for: links of earlier rounds open nothing.
  round      integer NOT NULL DEFAULT 1 CHECK (round > 0),
  key_id     text REFERENCES api_keys (id),
  -- SHA-256 of the token and the page by which it was claimed: that page may see its answer again.
  claimed_by bytea,
  claimed_at timestamptz,
  created_at timestamptz NOT NULL,
  CHECK ((state = 'claimed') = (claimed_at IS NOT NULL)),
  CHECK ((state = 'claimed') = (claimed_by IS NOT NULL)),
  CHECK (state = 'open' OR key_id IS NOT NULL)
);
CREATE INDEX key_claims_account ON key_claims (account_id, id);

-- A link that was sent or shown: only the hash of what opens it.
CREATE TABLE claim_links (
  hash       bytea PRIMARY KEY,
  claim_id   uuid NOT NULL REFERENCES key_claims (id),
  round      integer NOT NULL,
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX claim_links_claim ON claim_links (claim_id);
