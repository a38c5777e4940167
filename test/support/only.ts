/** A part of what is asked for: all that the test's way through it touches. */
export const only = <T extends object>(part: Partial<T>): T => part as T
