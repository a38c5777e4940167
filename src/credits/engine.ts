import type { Clock } from '../kernel/clock.ts'
import { UnknownOutcomeError } from '../kernel/errors.ts'
import type { Ids } from '../kernel/ids.ts'
import type { Log } from '../kernel/log.ts'
import { INCARNATION_ROUNDS_MAX } from '../kernel/limits/holds.ts'
import type { CreditEngine, Incarnations } from './commands.ts'
import { lapsedEverywhere, type Run } from './lapsed.ts'
import { makeLosses } from './losses.ts'
import { makeNumbers } from './numbers.ts'
import { shardOf } from './shard.ts'
import { NOSCRIPT, type CommandName, type Input, type Reply, type Transport } from './transport.ts'

export interface EngineParts {
  readonly transport: Transport
  readonly incarnations: Incarnations
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly ids: Pick<Ids, 'uuid'>
  readonly log: Pick<Log, 'error' | 'warn'>
}

const REFUSED = { kind: 'refused' } as const

/** Runs commands under the numbers of their nodes. */
function makeRunner({ transport, incarnations, clock, log }: EngineParts) {
  const losses = makeLosses(log, transport.kind)
  const numbers = makeNumbers({ transport, incarnations, clock, losses })
  transport.onReconnect(() => {
    numbers.doubt()
  })

  const runOnce = async <N extends CommandName>(name: N, shard: number, input: Input<N>) => {
    const node = transport.nodeOf(shard)
    const inc = numbers.known(node) ?? (await numbers.read(node))
    const reply = await transport.run(name, shard, input, inc)
    if (reply === NOSCRIPT) await numbers.renew(node, inc)
    else numbers.answered(node)
    return reply
  }
  const run: Run = async (name, shard, input) => {
    for (let round = 1; round <= INCARNATION_ROUNDS_MAX; round++) {
      const reply = await runOnce(name, shard, input)
      if (reply !== NOSCRIPT) return reply
    }
    throw new UnknownOutcomeError(`no incarnation stood for ${INCARNATION_ROUNDS_MAX} rounds`)
  }
  /** Nearly always the number is known and stands: then there is no promise but the reply's own. */
  const runKnown: Run = (name, shard, input) => {
    const node = transport.nodeOf(shard)
    const inc = numbers.known(node)
    if (inc === null) return run(name, shard, input)
    const again = () => numbers.renew(node, inc).then(() => run(name, shard, input))
    const replied = transport.run(name, shard, input, inc)
    return replied.then((reply) => (reply === NOSCRIPT ? again() : reply))
  }
  return {
    runOnce,
    run,
    /** For the account that the command names. Never throws: what is wrong rejects. */
    on: <N extends CommandName>(name: N, input: Input<N> & Named): Promise<Reply<N>> => {
      try {
        check(input)
        return runKnown(name, shardOf(input.accountId), input)
      } catch (error) {
        return Promise.reject(error instanceof Error ? error : new Error(String(error)))
      }
    },
    fresh: (accountId: string) => numbers.refresh(transport.nodeOf(shardOf(accountId))),
    /** Before a load of the account, and after one, so that its loss is told. */
    seen: (accountId: string, when: 'absent' | 'loaded') => {
      const node = transport.nodeOf(shardOf(accountId))
      const number = numbers.known(node)
      if (when === 'loaded') losses.loaded(accountId, number)
      else losses.absent(node, accountId, number)
    },
  }
}

/**
 * The credit engine over a transport: it keeps the numbers of the nodes, and where a node does not
 * know a script any more, draws a new number, loads the scripts and repeats the command. Only a
 * load is not repeated: what it brings was read before. Source: design §4 (incarnation).
 */
export function makeEngine(parts: EngineParts): CreditEngine {
  const { transport, ids } = parts
  const { runOnce, run, on, fresh, seen } = makeRunner(parts)
  const load = async <N extends 'load-account' | 'load-key'>(name: N, input: Input<N>) => {
    const reply = await runOnce(name, shardOf(input.accountId), input)
    return reply === NOSCRIPT ? REFUSED : reply
  }

  return {
    kind: transport.kind,
    reserve: (command) => on('reserve', command),
    renew: (command) => on('renew', command),
    settle: (command) => on('settle', command),
    release: (command) => on('release', command),
    recover: (command) => on('recover', command),
    clear: (command) => on('clear', command),
    async beginAccount(accountId) {
      await fresh(accountId)
      const begun = await on('begin-account', { accountId, token: ids.uuid() })
      if (!begun.wasLoaded) seen(accountId, 'absent')
      return begun
    },
    async loadAccount({ token }, snapshot) {
      const { accountId } = snapshot
      const reply = await load('load-account', { accountId, token, snapshot })
      if (reply.kind === 'ok') seen(accountId, 'loaded')
      return reply
    },
    async beginKey(accountId, keyId) {
      await fresh(accountId)
      return on('begin-key', { accountId, keyId, token: ids.uuid() })
    },
    loadKey: ({ token }, accountId, snapshot) =>
      load('load-key', { accountId, keyId: snapshot.keyId, token, snapshot }),
    lapsed: () => lapsedEverywhere(run, transport, parts.log),
    accountChangeSeqs: (accountIds) =>
      Promise.all(accountIds.map((accountId) => on('account-seq', { accountId }))),
    keyChangeSeqs: (keys) => Promise.all(keys.map((key) => on('key-seq', key))),
    viewAccount: (accountId) => on('view-account', { accountId }),
    viewKey: (accountId, keyId) => on('view-key', { accountId, keyId }),
    timeMs: () => transport.timeMs(),
    close: () => transport.close(),
  }
}

/** Of an account, and of a key and a hold of it where there is one. */
interface Named {
  readonly accountId: string
  readonly keyId?: string
  readonly holdId?: string
}

/** Ids are parts of records and members that are split at blanks. */
function check({ keyId, holdId }: Named): void {
  if (holdId === undefined) return
  if (keyId?.includes(' ') === true || holdId.includes(' ')) {
    throw new RangeError('a key id or hold id must not contain a blank')
  }
}
