import { describe, expect, it } from 'vitest'
import { hashName, hashSecret, isWellFormed, mintSecret } from '../../src/access/secrets.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { makeIds } from '../../src/kernel/ids.ts'

const ids = makeIds(systemClock)

describe('secrets', () => {
  it('name kind and mode in their first characters and are well formed', () => {
    const client = mintSecret(ids, 'client', 'test')
    const backend = mintSecret(ids, 'backend', 'live')
    expect(client.secret).toMatch(/^fb_test_[\w-]{43}$/)
    expect(backend.secret).toMatch(/^fbk_live_[\w-]{43}$/)
    expect(isWellFormed(client.secret, 'test')).toBe(true)
    expect(isWellFormed(backend.secret, 'live')).toBe(true)
  })

  it('are refused unhashed when malformed or of the other mode', () => {
    const { secret } = mintSecret(ids, 'client', 'test')
    for (const wrong of ['', 'sk-123', `${secret}x`, secret.slice(0, -1), ` ${secret}`]) {
      expect(isWellFormed(wrong, 'test')).toBe(false)
    }
    expect(isWellFormed(secret, 'live')).toBe(false)
    expect(isWellFormed(`fb_test_${'é'.repeat(43)}`, 'test')).toBe(false)
  })

  it('show four random characters at most and store a hash of 32 bytes', () => {
    const minted = mintSecret(ids, 'client', 'test')
    expect(minted.secret.startsWith(minted.prefix)).toBe(true)
    expect(minted.prefix).toHaveLength('fb_test_'.length + 4)
    expect(minted.hash).toHaveLength(32)
    expect(Buffer.from(hashSecret(minted.secret)).toString('hex')).toBe(hashName(minted.secret))
  })
})
