import type { Loads } from '../credits/load.ts'

/**
 * Loads an account, and a key where one is named, from Postgres into the credit engine: what the
 * writer of a change does after its commit. Throws where the engine did not take it; the sweeps
 * then load it within seconds. Source: design §4.
 */
export type Reload = (accountId: string, keyId?: string) => Promise<void>

export function makeReload(loads: Loads): Reload {
  return async (accountId, keyId) => {
    const results = [await loads.account(accountId, 'changed')]
    if (keyId !== undefined) results.push(await loads.key(accountId, keyId, 'changed'))
    if (results.includes('failed')) throw new Error('the credit engine did not take the load')
  }
}
