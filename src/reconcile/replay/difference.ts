/** One thing that the two sides do not say alike. Amounts in micros, null = it is not there. */
export interface Difference {
  readonly accountId: string
  /** As in "checkout:cs_…": names the sale, its grant and its clawbacks; else the invoice. */
  readonly key: string
  /** "grant:<key>" or "clawback:<key>": all of that kind, as one; "access"; "billed:in_…". */
  readonly op: string
  readonly what: 'grant' | 'clawback' | 'lot_kind' | 'lot_expiry' | 'access' | 'billed'
  readonly direction: 'only_in_source' | 'only_in_replay' | 'differs'
  readonly source: number | string | null
  readonly replay: number | string | null
}
