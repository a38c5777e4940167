import { expect, test } from 'vitest'
import { short } from '../../src/app/cli/margins.ts'
import { tellAdminToken } from '../../src/app/serve.ts'
import { readEnvironment } from '../../src/config.ts'

/** What a program that starts, or a command, says to a person. */
function toldOf(token: string | null, worker: number | null): string[] {
  const told: string[] = []
  tellAdminToken(token, worker, {
    warn: (fields, message) => void told.push(`${message} ${JSON.stringify(fields)}`),
  })
  return told
}

test('an admin API that is off is told once, never with the token', () => {
  expect(toldOf('s3cret', null)).toEqual([
    'FAREBOX_ADMIN_TOKEN is too short: the admin API is off {"characters_min":16}',
  ])
  expect(toldOf(null, 1)).toEqual([
    'FAREBOX_ADMIN_TOKEN is not set: the admin API is off {"characters_min":16}',
  ])
  expect(toldOf(null, 2)).toEqual([])
  expect(toldOf('0123456789abcdef', null)).toEqual([])
})

test.each(['x', '0', '-1', '1.5', '1025', '70000'])('WORKERS=%s is told what it takes', (value) => {
  const message = `WORKERS must be "auto" or a whole number from 1 to 1024, not "${value}".`
  expect(() => readEnvironment({ WORKERS: value })).toThrow(message)
})

test('a prefix of keys in REDIS_URL is refused: it would be left out without a word', () => {
  const url = 'redis://127.0.0.1:6379/2'
  expect(readEnvironment({ REDIS_URL: url }).redisUrl).toBe(url)
  const message = 'REDIS_URL: there is no keyPrefix'
  for (const place of [url, '127.0.0.1:6379', '/run/redis.sock', `${url}?family=4&`]) {
    const prefixed = `${place}${place.endsWith('&') ? '' : '?'}keyPrefix=a:`
    expect(() => readEnvironment({ REDIS_URL: prefixed })).toThrow(message)
  }
})

test('WORKERS takes a number, and nothing is one', () => {
  const of = (value: string) => readEnvironment({ WORKERS: value }).workers
  expect([of('3'), of('')]).toEqual([3, 1])
  expect(of('auto')).toBeGreaterThan(0)
})

test('dollars that are cut to nothing have no sign', () => {
  const cut = ['-0.00001', '-0.00012', '-1', '0', '-0.0000', '12.34567'].map(short)
  expect(cut).toEqual(['0.0000', '-0.0001', '-1.0000', '0.0000', '0.0000', '12.3456'])
})
