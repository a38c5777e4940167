import type { Clock } from '../../kernel/clock.ts'
import {
  EMBEDDED_ACCOUNTS_MAX,
  EMBEDDED_HOLDS_MAX,
  EMBEDDED_KEYS_MAX,
} from '../../kernel/limits/holds.ts'
import { NOSCRIPT, type CommandName, type Input, type Reply, type Transport } from '../transport.ts'
import { clear } from './clear.ts'
import { recover, release, renew, settle } from './hold.ts'
import { beginAccount, beginKey, loadAccount, loadKey } from './load.ts'
import { reserve } from './reserve.ts'
import { emptyState, loaded, loadedKey, type Account, type State } from './state.ts'
import { lapsed, viewAccount, viewKey } from './views.ts'

type Handler<N extends CommandName> = (
  state: State,
  input: Input<N>,
  inc: number,
  nowMs: number,
) => Reply<N>
type Handlers = { readonly [N in CommandName]: Handler<N> }

const HANDLERS: Handlers = {
  reserve,
  renew,
  settle,
  release,
  recover,
  clear,
  'begin-account': beginAccount,
  'load-account': loadAccount,
  'begin-key': beginKey,
  'load-key': loadKey,
  lapsed: (state, page, _inc, nowMs) => lapsed(state, page, nowMs),
  'lapsed-accounts': () => [],
  'lapsed-holds': () => ({ cursor: '0', holds: [] }),
  'account-seq': (state, ref, inc) => loaded(state, ref.accountId, inc)?.facts.changeSeq ?? null,
  'key-seq': (state, ref, inc) => {
    const account = state.accounts.get(ref.accountId)
    return (account && loadedKey(account, ref.keyId, inc))?.changeSeq ?? null
  },
  'view-account': viewAccount,
  'view-key': viewKey,
}

/** A copy of the whole state, as a replica that fell behind has it. */
export interface Snapshot {
  readonly accounts: State['accounts']
}

/** The credit state of one process, and what can befall it. */
export interface EmbeddedStore {
  /** A client's own way to the state; several may share one store. */
  connect(): Transport
  /** Loses everything, as a restarted Redis without a file does. */
  wipe(): void
  snapshot(): Snapshot
  /** Goes back to an older state without its scripts, as a failover to a replica does. */
  restore(snapshot: Snapshot): void
}

/** Makes an empty credit state. Its time is `clock.now()`. Source: design §4 (embedded engine). */
export function makeEmbeddedStore({ clock }: { clock: Pick<Clock, 'now'> }): EmbeddedStore {
  let state = emptyState()
  return {
    wipe() {
      state = emptyState()
    },
    snapshot: () => structuredClone({ accounts: state.accounts }),
    restore(snapshot) {
      state = { ...emptyState(), ...structuredClone({ accounts: snapshot.accounts }) }
    },
    connect: () => ({
      kind: 'embedded',
      shards: 1,
      nodeOf: () => 'embedded',
      run<N extends CommandName>(name: N, _shard: number, input: Input<N>, inc: number) {
        return attempt(() => {
          if (!state.scripts.has(inc)) return NOSCRIPT
          makeRoom(state, name, input)
          const handler: Handler<N> = HANDLERS[name]
          return handler(state, input, inc, clock.now())
        })
      },
      loadScripts: (_node, inc) =>
        attempt(() => {
          state.scripts.add(inc)
        }),
      onReconnect: () => undefined,
      timeMs: () => attempt(() => clock.now()),
      close: () => Promise.resolve(),
    }),
  }
}

function attempt<T>(run: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(run())
  })
}

/** Keeps the state within its bounds: drops what a load can bring back, refuses what it cannot. */
function makeRoom<N extends CommandName>(state: State, name: N, input: Input<N>): void {
  if (!('accountId' in input)) return
  const account = state.accounts.get(input.accountId)
  if (name === 'begin-account' && account === undefined) dropIdleAccount(state)
  if (name === 'begin-key' && account !== undefined) dropOldestKey(account)
  if (name === 'reserve' && account !== undefined && account.holds.size >= EMBEDDED_HOLDS_MAX) {
    throw new Error(`account ${input.accountId} has ${EMBEDDED_HOLDS_MAX} holds`)
  }
}

function dropIdleAccount(state: State): void {
  if (state.accounts.size < EMBEDDED_ACCOUNTS_MAX) return
  for (const [id, { holds }] of state.accounts) {
    if (holds.size > 0) continue
    state.accounts.delete(id)
    return
  }
}

function dropOldestKey({ keys }: Account): void {
  if (keys.size < EMBEDDED_KEYS_MAX) return
  for (const id of keys.keys()) {
    keys.delete(id)
    return
  }
}
