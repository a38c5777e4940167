import type { FieldPair } from '../../src/reconcile/check-fields.ts'
import type { DriftKind } from '../../src/reconcile/drift.ts'

/** What compares a copy: a kind of finding, or a pair of fields. */
export type ComparedBy =
  Exclude<DriftKind, 'fields_differ' | 'reconcile_check_failed'> | FieldPair | 'fields-lot-expiry'

/** Columns of one table, each in exactly one of the three. */
export interface Classes {
  /** Said here first, and nowhere else: names with spaces between. */
  readonly source?: string
  /** Said elsewhere too, and compared there. */
  readonly copies?: Readonly<Record<string, ComparedBy>>
  /** Why what looks like a copy is none, or need not agree: names with spaces → the reason. */
  readonly apart?: Readonly<Record<string, string>>
}

const SEEN = 'what Stripe said when it was last looked at; every look writes it anew'
const MOMENT = 'when this row was written'
const WORK = 'how far the work on it is: whoever takes it up writes it'

/**
 * Every column of every table: the source of what it says, a copy that a comparison is about, or
 * why it is neither. A column that is missing here fails the test. Source: design §6.
 */
export const COLUMNS: Readonly<Record<string, Classes>> = {
  accounts: {
    source: 'id subject_ref name email status credit_limit_micros overage_limit_micros markup',
    copies: {
      ...{ stripe_customer_id: 'customer_link_differs', status_reason: 'fields-freeze' },
      ...{ posted_micros: 'ledger_balance', entry_seq: 'ledger_balance' },
      ...{ debt_micros: 'ledger_lines', overage_micros: 'ledger_lines', version: 'ledger_lines' },
      ...{ change_seq: 'engine_fields', next_change_at: 'fields-next-change' },
      ...{ plan_overage_limit_micros: 'fields-plan-overage', meter_plan: 'fields-meter-plan' },
    },
    apart: { 'changed_at created_at': MOMENT },
  },
  api_keys: {
    source:
      'id account_id kind name hash models endpoints budget_micros budget_period ' +
      'requests_per_minute tokens_per_minute max_concurrency expires_at status',
    copies: { revoked_at: 'fields-key-revoked', change_seq: 'engine_fields' },
    apart: {
      prefix: 'the beginning of a key of which only the hash is kept: nothing says it again',
      rotated_by: 'which request gave it its secret: nothing follows of it',
      'changed_at created_at': MOMENT,
    },
  },
  audit_log: { source: 'id at actor action subject detail' },
  background_jobs: {
    source: 'hold_id micros day reserved_at job',
    copies: { account_id: 'fields-draft', draft: 'fields-draft' },
    apart: {
      response_id: 'finds the job of a response; stored_ids says whose it is, and ends by itself',
      due_at: WORK,
      created_at: MOMENT,
    },
  },
  checkout_sessions: {
    source:
      'id stripe_price expires_days success_url cancel_url request_key request_hash session_id ' +
      'url failure expires_at keeps_card',
    copies: {
      ...{ account_id: 'fields-checkout', item_kind: 'fields-checkout' },
      ...{ item_id: 'fields-checkout', micros: 'fields-checkout' },
      ...{ payment_intent: 'fields-checkout', state: 'checkout_state_differs' },
    },
    apart: {
      'amount currency': 'as quoted, before discounts and taxes: what was paid may be less or more',
      'created_at changed_at': MOMENT,
    },
  },
  claim_links: { source: 'hash claim_id round expires_at', apart: { created_at: MOMENT } },
  entitlement_overrides: {
    source: 'id account_id patch reason actor expires_at removed_at removed_by',
    apart: { created_at: MOMENT },
  },
  entitlements: {
    source: 'account_id',
    copies: Object.fromEntries(
      (
        'state plan_id subscription_id rung blocked features models endpoints ' +
        'requests_per_minute tokens_per_minute max_concurrency credit_limit_micros ' +
        'overage_limit_micros overage_meter'
      )
        .split(' ')
        .map((name) => [name, 'access_stored'] as const),
    ),
    apart: {
      'paid_through next_change_at': 'move with time and rule nothing by themselves',
      plans_version: 'by which plans it was resolved; another version makes it due',
      resolved_at: MOMENT,
    },
  },
  findings: {
    source:
      'id kind severity subject evidence state first_seen last_seen direction at_stake_micros ' +
      'note explained_until openings opened_at',
  },
  idempotent_requests: {
    source: 'key body_hash lease_until state status headers body expires_at',
    copies: { account_id: 'fields-answer', hold_id: 'fields-answer' },
  },
  incarnations: { source: 'node number' },
  key_claims: {
    source: 'id purchase limits state round claimed_by claimed_at',
    copies: { account_id: 'fields-claim-sale', key_id: 'fields-claim' },
    apart: {
      'item_kind item_id': 'what the key is for: follows the subscription when its plan changes',
      created_at: MOMENT,
    },
  },
  key_spend: {
    source: 'key_id day',
    copies: { micros: 'key_spend_differs' },
  },
  ledger_entries: {
    source: 'seq line movement_type micros reason reference_type created_at',
    copies: {
      ...{ account_id: 'ledger_balance', lot_id: 'ledger_balance' },
      ...{ reference_id: 'ledger_hold', op_id: 'ledger_hold' },
    },
  },
  lots: {
    source: 'id priority effective_at reason state',
    copies: {
      ...{ account_id: 'ledger_balance', remaining_micros: 'ledger_balance' },
      ...{ granted_micros: 'fields-lot-grant', expired_micros: 'fields-lot-expiry' },
      ...{ expired_at: 'fields-lot-state', kind: 'fields-sale', expires_at: 'fields-sale' },
      ...{ reference_type: 'lot_without_sale', reference_id: 'lot_without_sale' },
    },
    apart: { is_open: 'Postgres makes it of the others', created_at: MOMENT },
  },
  meter_checks: { source: 'id event_name from_at to_at', apart: { due_at: WORK } },
  meter_lanes: { source: 'customer_id event_name', apart: { 'due_at lease is_woken tries': WORK } },
  meter_outbox: {
    source: 'id plan_id meter mode dimensions quantity used_at',
    copies: {
      ...{ account_id: 'overage_differs', overage_micros: 'overage_differs' },
      hold_id: 'usage_not_reported',
    },
    apart: {
      sealing_id: 'which sealing took it: of the reports only what they say in all is of use',
      created_at: MOMENT,
    },
  },
  meter_periods: {
    apart: { 'invoice_id event_name account_id start_at end_at finalized_at': SEEN },
  },
  meter_reports: {
    source:
      'id seq sealing_id identifier meter event_name dimensions slot_at rev part kind cancels ' +
      'at state note refusal successor billed_by',
    copies: {
      ...{ account_id: 'overage_differs', overage_micros: 'overage_differs' },
      value: 'meter_summary_differs',
    },
    apart: {
      customer_id: 'whom it was told of, for good: an account may get another customer since',
      'sealed_at tries first_tried_at last_tried_at sent_at': WORK,
    },
  },
  meter_series: {
    source: 'account_id meter dimensions',
    apart: { sealed: 'carries the part of a unit that no report has yet from hour to hour' },
  },
  meter_stops: { source: 'kind name reason since' },
  meter_surplus: {
    source: 'account_id event_name',
    copies: { micros: 'overage_differs' },
  },
  notifications: {
    source: 'id kind occasion channel audience account_id data state note',
    apart: { 'attempts due_at lease done_at': WORK, created_at: MOMENT },
  },
  plans: { source: 'version seq document', apart: { created_at: MOMENT } },
  prices: {
    source: 'version source upstream model document retired_at',
    apart: { created_at: MOMENT },
  },
  recharge_attempts: {
    source:
      'id stripe_price expires_days return_url state idempotency_key payment_method card_mark ' +
      'amount currency failure link planned_at',
    copies: {
      ...{ account_id: 'fields-recharge', micros: 'fields-recharge', pack_id: 'fields-recharge' },
      ...{ payment_intent: 'fields-recharge', month: 'fields-recharge-month' },
    },
    apart: {
      customer_id: 'who was charged, for good: an account may get another customer since',
      'tries due_at lease called_at last_call_at': WORK,
      changed_at: MOMENT,
    },
  },
  recharges: {
    source:
      'account_id state reason pack_id threshold_micros monthly_count monthly_amount currency ' +
      'return_url payment_method method_at declines card_mark',
    apart: { due_at: WORK, changed_at: MOMENT },
  },
  reconcile_runs: {
    source: 'name id options cursor seen found fixed started_at finished_at nightly_at check_name',
    apart: {
      check_no: 'where check_name stood when it was written: a run goes on by the name',
      'lease lease_until failures': WORK,
    },
  },
  schema_migrations: { source: 'name checksum applied_at' },
  settings: { source: 'name value' },
  stored_ids: {
    source: 'id expires_at',
    apart: {
      'account_id upstream model hold_id':
        'finds a stored response again, and ends by itself: wrong it finds nothing, and bills nothing',
    },
  },
  stripe_counts: { source: 'minute name count' },
  stripe_customers: {
    source: 'account_id idempotency_key',
    copies: { customer_id: 'customer_link_differs' },
    apart: { planned_at: MOMENT },
  },
  stripe_disputes: {
    source: 'id payment_id',
    copies: {
      ...{ account_id: 'fields-dispute-account', withdrawn: 'fields-dispute' },
      is_freezing: 'fields-freeze',
    },
    apart: { 'status amount': SEEN, changed_at: MOMENT },
  },
  stripe_entitlements: {
    source: 'account_id',
    apart: { lookup_keys: SEEN, changed_at: MOMENT },
  },
  stripe_events: {
    source: 'seq is_thin source payload state outcome deliveries by_hand',
    apart: {
      'id type object_id stripe_account api_version occurred_at':
        'unpacked of the payload when it was stored, which nothing changes since',
      'attempts due_at lease': WORK,
      'received_at done_at': MOMENT,
    },
  },
  stripe_looks: { source: 'subject number looked_at' },
  stripe_payments: {
    source: 'id',
    copies: {
      ...{ account_id: 'fields-payment', withdrawn_amount: 'fields-dispute' },
      ...{ paid_amount: 'clawback_differs', refunded_amount: 'clawback_differs' },
      paid_at: 'grant_without_payment',
    },
    apart: { currency: SEEN, changed_at: MOMENT },
  },
  stripe_sales: {
    source: 'key',
    copies: {
      ...{ payment_id: 'fields-payment', account_id: 'sale_without_lot', kind: 'fields-sale' },
      ...{ item_kind: 'fields-checkout', item_id: 'fields-checkout' },
      ...{ micros: 'sale_amount_differs', expires_at: 'fields-sale' },
      subscription_id: 'fields-sale-subscription',
    },
    apart: { created_at: MOMENT },
  },
  stripe_warnings: { source: 'id account_id', apart: { noted_at: MOMENT } },
  subscriptions: {
    source: 'id',
    copies: {
      ...{ account_id: 'subscription_ambiguous', customer_id: 'customer_link_differs' },
      ...{ plan_id: 'subscription_differs', status: 'subscription_differs' },
      ...{ current_period_end: 'subscription_differs', started_at: 'subscription_not_there' },
    },
    apart: {
      [`stripe_price quantity current_period_start trial_end cancel_at cancel_at_period_end ended_at
       is_collection_paused latest_invoice invoice_status owed_since pay_url`]: SEEN,
      reread_at: WORK,
      changed_at: MOMENT,
    },
  },
  usage: {
    source:
      'rev key_id reserved_at started_at protocol endpoint upstream stream estimated late usage ' +
      'price_version http_status first_byte_ms duration_ms posted_at',
    copies: {
      ...{ hold_id: 'ledger_hold', account_id: 'ledger_hold', micros: 'ledger_hold' },
      ...{ version: 'ledger_lines', day: 'key_spend_differs' },
      ...{ model: 'provider_cost_differs', provider_cost_pico_usd: 'provider_cost_differs' },
    },
  },
  work_holds: {
    source:
      'id key_id maker state micros day reserved_at ttl_ms progress_micros price_upstream ' +
      'price_model markup metadata request_key request_hash',
    copies: {
      ...{ account_id: 'fields-draft', draft: 'fields-draft', settled_micros: 'fields-work' },
    },
    apart: {
      lease_until: 'the credit engine keeps the lease of the hold, this when it was last told',
      kept_price: 'a version of prices, whose content never changes: kept for want of the books',
      'created_at changed_at': MOMENT,
    },
  },
}
