import { ANSWER_METER_BYTES_MAX } from '../../src/kernel/limits/answers.ts'

/**
 * Loaded into a process of its own before its code (`NODE_OPTIONS=--import`): there is no memory
 * for large answers, and each time that it is asked for is told.
 */
const Real = globalThis.SharedArrayBuffer
globalThis.SharedArrayBuffer = new Proxy(Real, {
  construct(target, args: [number]) {
    if (args[0] !== ANSWER_METER_BYTES_MAX) return new target(...args)
    console.error('no memory for a large answer')
    throw new RangeError('Array buffer allocation failed')
  },
})
