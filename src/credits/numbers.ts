import type { Clock } from '../kernel/clock.ts'
import { INCARNATION_READ_MS_MIN } from '../kernel/limits/holds.ts'
import type { Incarnations } from './commands.ts'
import type { Losses } from './losses.ts'
import type { Transport } from './transport.ts'

/** The numbers of incarnation as this process believes them. Source: design §4. */
export interface Numbers {
  /** null: not read yet, or in doubt. */
  known(node: string): number | null
  /** Reads the number in force; where Postgres is away and there was one, that one. */
  read(node: string): Promise<number>
  /** Reads it anew before a load, so that all gateways load under the same one. */
  refresh(node: string): Promise<void>
  /** The node did not know the scripts of `seen`: takes the newer number, or draws one. */
  renew(node: string, seen: number): Promise<void>
  /** The node carried out a command: scripts that it does not know later were lost. */
  answered(node: string): void
  /** Another node may answer now: numbers are read again before the next command. */
  doubt(): void
}

interface Known {
  readonly number: number
  readonly readAtMs: number
  inDoubt: boolean
  hasAnswered: boolean
}

export interface NumbersParts {
  readonly transport: Pick<Transport, 'loadScripts'>
  readonly incarnations: Incarnations
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly losses: Losses
}

export function makeNumbers(parts: NumbersParts): Numbers {
  const { transport, incarnations, clock, losses } = parts
  const all = new Map<string, Known>()
  const renewals = new Map<string, Promise<void>>()

  const learn = (node: string, number: number): number => {
    const hasAnswered = all.get(node)?.hasAnswered ?? false
    all.set(node, { number, readAtMs: clock.monotonicMs(), inDoubt: false, hasAnswered })
    return number
  }
  const draw = async (node: string, seen: number): Promise<void> => {
    const { number, drawn } = await incarnations.bump(node, seen)
    learn(node, number)
    if (!drawn) return
    if (all.get(node)?.hasAnswered === true) losses.scripts(node, number)
    await transport.loadScripts(node, number)
  }

  return {
    known(node) {
      const known = all.get(node)
      return known === undefined || known.inDoubt ? null : known.number
    },
    async read(node) {
      const before = all.get(node)
      try {
        return learn(node, await incarnations.read(node))
      } catch (error) {
        if (before === undefined) throw error
        return learn(node, before.number)
      }
    },
    async refresh(node) {
      const known = all.get(node)
      const now = clock.monotonicMs()
      if (known && !known.inDoubt && now - known.readAtMs < INCARNATION_READ_MS_MIN) return
      learn(node, await incarnations.read(node))
    },
    async renew(node, seen) {
      if (all.get(node)?.number !== seen) return
      let renewal = renewals.get(node)
      if (renewal === undefined) {
        renewal = draw(node, seen).finally(() => renewals.delete(node))
        renewals.set(node, renewal)
      }
      await renewal
    },
    answered(node) {
      const known = all.get(node)
      if (known !== undefined) known.hasAnswered = true
    },
    doubt() {
      for (const known of all.values()) known.inDoubt = true
    },
  }
}
