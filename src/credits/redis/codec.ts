import type { CommandName, Input, Reply } from '../transport.ts'
import type { ShardKeys } from './keys.ts'

/** How one command travels: the KEYS and ARGV of its script's header, and its reply read. */
export interface Codec<N extends CommandName> {
  /** Name of the Lua file. */
  readonly script: string
  keys(input: Input<N>, shard: ShardKeys): readonly string[]
  args(input: Input<N>): readonly (string | number)[]
  decode(reply: unknown, input: Input<N>): Reply<N>
}
