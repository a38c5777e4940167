/** Thrown when the program's own reasoning is wrong; never for bad input. */
export class InvariantError extends Error {
  override readonly name: string = 'InvariantError'
}

/** An amount beyond what can be counted (2^53−1): no later try will make it fit. */
export class PastCountError extends InvariantError {
  override readonly name = 'PastCountError'
}

/** Stops the current operation when `condition` is false. The message names the broken rule. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message)
}
