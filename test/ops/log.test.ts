import { describe, expect, it } from 'vitest'
import { makeLog, redact } from '../../src/ops/log.ts'

const KEY = 'fb_live_abcdEFGHijklMNOPqrstUVWXyz0123456789-_ABCDE'

describe('the log', () => {
  it.each([
    [`no key ${KEY} here`, 'no key fb_live_abcd… here'],
    [
      'upstream said: Incorrect API key sk-proj-abc123def456',
      'upstream said: Incorrect API key sk-…',
    ],
    ['Authorization: Bearer abc.def-123456', 'Authorization: Bearer …'],
    ['postgres://app:hunter2@db:5432/x', 'postgres://app:…@db:5432/x'],
    [`at https://x.example/claim/${'aB3-_'.repeat(8)}xyz.`, 'at https://x.example/claim/….'],
    ['secret whsec_0123456789abcdef', 'secret whsec_…'],
  ])('drops what opens something: %s', (text, expected) => {
    expect(redact(text)).toBe(expected)
  })

  it('writes one JSON line with level and time, and no secret in any field', () => {
    const lines: string[] = []
    const destination = { write: (line: string) => lines.push(line) }
    const log = makeLog({ level: 'info', destination })
    log.debug({ a: 1 }, 'not asked for')
    log.error({ error: `Error: ${KEY}`, admin_token: 'very-secret', tokens: 12 }, `bad ${KEY}`)
    expect(lines).toHaveLength(1)
    const line: unknown = JSON.parse(lines[0] ?? '')
    expect(line).toMatchObject({ level: 'error', msg: 'bad fb_live_abcd…', tokens: 12 })
    expect(lines[0]).not.toContain('EFGH')
    expect(lines[0]).not.toContain('very-secret')
  })
})
