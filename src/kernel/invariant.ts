/** Thrown when the program's own reasoning is wrong; never for bad input. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError'
}

/** Stops the current operation when `condition` is false. The message names the broken rule. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message)
}
