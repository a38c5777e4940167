import type { AccountSnapshot, KeySnapshot } from '../ledger/ledger.ts'
import type * as c from './commands.ts'

/** Which copy of an account or key is meant. */
export interface AccountRef {
  readonly accountId: string
}
export interface KeyRef extends AccountRef {
  readonly keyId: string
}

/** A load begins with a candidate token; the reply names the one that stands. */
export interface BeginAccount extends AccountRef {
  readonly token: string
}
export interface BeginKey extends KeyRef {
  readonly token: string
}
export interface LoadAccount extends AccountRef {
  readonly token: string
  readonly snapshot: AccountSnapshot
}
export interface LoadKey extends KeyRef {
  readonly token: string
  readonly snapshot: KeySnapshot
}

/** An account that may have lapsed holds: none that lapsed before this time. */
export interface LapsedAccount extends AccountRef {
  readonly deadlineMs: number
}

/** Holds of one account, about `limit` of them from a cursor on; '0' is the beginning. */
export interface HoldsPage extends AccountRef {
  readonly cursor: string
  readonly limit: number
}

/** Lapsed holds by deadline: those with `fromMs` or later, less the first `skip` of them. */
export interface LapsedPage {
  readonly fromMs: number
  readonly skip: number
  readonly limit: number
}

/** Every command by name: what goes in, what comes out. */
export interface Commands {
  reserve: { input: c.Reserve; reply: c.ReserveReply }
  renew: { input: c.Renew; reply: c.RenewReply }
  settle: { input: c.Settle; reply: c.SettleReply }
  release: { input: c.Release; reply: c.ReleaseReply }
  recover: { input: c.Recover; reply: c.RecoverReply }
  clear: { input: c.Clear; reply: c.ClearReply }
  'begin-account': { input: BeginAccount; reply: c.LoadToken }
  'load-account': { input: LoadAccount; reply: c.LoadReply }
  'begin-key': { input: BeginKey; reply: c.LoadToken }
  'load-key': { input: LoadKey; reply: c.LoadReply }
  /** Holds listed one by one: all of the embedded engine, in Redis renewed and older ones. */
  lapsed: { input: LapsedPage; reply: readonly c.LapsedHold[] }
  'lapsed-accounts': { input: LapsedPage; reply: readonly LapsedAccount[] }
  /** A hold may come twice. Cursor '0': that was all. */
  'lapsed-holds': {
    input: HoldsPage
    reply: { readonly cursor: string; readonly holds: readonly c.LapsedHold[] }
  }
  'account-seq': { input: AccountRef; reply: number | null }
  'key-seq': { input: KeyRef; reply: number | null }
  'view-account': { input: AccountRef; reply: c.AccountView | null }
  'view-key': { input: KeyRef; reply: c.KeyView | null }
}
export type CommandName = keyof Commands
export type Input<N extends CommandName> = Commands[N]['input']
export type Reply<N extends CommandName> = Commands[N]['reply']

/** The node does not know the script of this incarnation: it may have lost state. */
export const NOSCRIPT = 'noscript'

/**
 * Carries commands to the state. All that is lost, late or repeated between a gateway and its
 * credit state happens here, so the simulator puts its faults around it.
 */
export interface Transport {
  readonly kind: 'redis' | 'embedded'
  /** Shards to visit when every account is meant. */
  readonly shards: number
  /** Name of the incarnation row of the node that has the shard. */
  nodeOf(shard: number): string
  /**
   * Runs one command under incarnation `inc`, at most once. Throws UnknownOutcomeError when no
   * answer came; any other error says that nothing was done.
   */
  run<N extends CommandName>(
    name: N,
    shard: number,
    input: Input<N>,
    inc: number,
  ): Promise<Reply<N> | typeof NOSCRIPT>
  /** Makes the scripts of `inc` known to the node. Throws UnknownOutcomeError. */
  loadScripts(node: string, inc: number): Promise<void>
  /** Calls back after a connection was made again: another node may answer now. */
  onReconnect(listener: () => void): void
  timeMs(): Promise<number>
  close(): Promise<void>
}
