import { describe, expect, it } from 'vitest'
import { locationFor } from '../../src/gateway/http/location.ts'
import { pathBelow } from '../../src/gateway/http/paths.ts'
import { countAt, countOf, parseJsonPath } from '../../src/gateway/http/units.ts'

describe('a path below a named API', () => {
  it.each([
    ['/up/weather', '', '/'],
    ['/up/weather/', '/', '/'],
    ['/up/weather/v1/forecast?city=..%2f..', '/v1/forecast', '/v1/forecast'],
    ['/up/weather/a%20b/%C3%A9', '/a%20b/%C3%A9', '/a b/é'],
    ['/up/weather/group%2Fproject', '/group%2Fproject', '/group/project'],
    ['/up/weather/a..b/...c/.well-known', '/a..b/...c/.well-known', '/a..b/...c/.well-known'],
    ['/up/weather/x;v=1/y', '/x;v=1/y', '/x;v=1/y'],
  ])('passes %s', (url, path, plain) => {
    expect(pathBelow(url, 'weather')).toEqual({ ok: true, path, plain })
  })

  it.each([
    '/up/weather/..',
    '/up/weather/../admin',
    '/up/weather/a/../../admin',
    '/up/weather/./a',
    '/up/weather/%2e%2e/admin',
    '/up/weather/%2E./admin',
    '/up/weather/..%2fadmin',
    '/up/weather/a%2f..%2f..%2fadmin',
    '/up/weather/..%5cadmin',
    '/up/weather/..\\admin',
    '/up/weather/..;/admin',
    '/up/weather/..;x=1/admin',
    '/up/weather/%252e%252e/admin',
    '/up/weather/%252e%252e%252fadmin',
    '/up/weather/%25252e/admin',
    '/up/weather/%2e%2e%00/admin',
    '/up/weather/a%00b',
    '/up/weather/a%0d%0aHost:%20evil',
    '/up/weather//evil.example/x',
    '/up/weather/%',
    '/up/weather/%zz',
    '/up/weather/%ff',
    '/up/weather/a#b',
    '/up/weather/a b',
    '/up/weather/é',
    '/up/weather@evil.example/',
    '/up/weather.evil/',
    '/up/weathers/x',
    '/%75p/weather/x',
    'http://evil.example/up/weather/x',
    '//evil.example/up/weather/x',
    '*',
    `/up/weather/${'a'.repeat(300)}`,
  ])('refuses %s', (url) => {
    expect(pathBelow(url, 'weather').ok).toBe(false)
  })
})

describe('a redirect', () => {
  const api = { name: 'w', origin: 'http://inside:8080', basePath: '/v2' }
  it.each([
    ['http://inside:8080/v2/a?b=1#c', '/up/w/a?b=1#c'],
    ['/v2/a', '/up/w/a'],
    ['/v2', '/up/w'],
    ['a/b', 'a/b'],
    ['/v20/a', '/v20/a'],
    ['/v2/../admin', '/v2/../admin'],
    ['https://elsewhere.example/', 'https://elsewhere.example/'],
    ['http://inside:8081/v2/a', 'http://inside:8081/v2/a'],
  ])('to %s leads to %s', (from, to) => {
    expect(locationFor(api, from)).toBe(to)
  })
  it('is only where there is one', () => {
    expect(locationFor(api, undefined)).toBeNull()
  })
})

describe('units in an answer', () => {
  it.each([
    ['usage.total', ['usage', 'total']],
    ['$.usage.items[2].n', ['usage', 'items', 2, 'n']],
    ['["a.b"].c', ['a.b', 'c']],
    ['[0]', [0]],
  ])('are found by %s', (text, steps) => {
    expect(parseJsonPath(text)).toEqual(steps)
  })
  it.each(['', '$', '.', 'a..b', 'a.', 'a[', 'a[x]', 'a b', 'a"b', 'a[-1]', 'a.'.repeat(20) + 'a'])(
    'are not found by "%s"',
    (text) => {
      expect(parseJsonPath(text)).toBeNull()
    },
  )
  const at = (body: string, path: string): number | null => countAt(body, parseJsonPath(path) ?? [])
  it('are what the path leads to, and nothing else', () => {
    expect(at('{"usage":{"n":3}}', 'usage.n')).toBe(3)
    expect(at('{"usage":{"n":"2.5"}}', 'usage.n')).toBe(2.5)
    expect(at('{"usage":{"n":0}}', 'usage.n')).toBe(0)
    expect(at('[{"n":7}]', '[0].n')).toBe(7)
    for (const body of ['', '{', 'null', '{"usage":null}', '{"usage":[3]}', '{"n":3}']) {
      expect(at(body, 'usage.n')).toBeNull()
    }
    expect(at('{"a":{}}', 'a.constructor')).toBeNull()
    expect(at('{"a":{}}', '__proto__.x')).toBeNull()
    expect(at('{"a":[1,2]}', 'a.length')).toBeNull()
  })
  it('are a count or none', () => {
    for (const wrong of [
      -1,
      Number.NaN,
      Infinity,
      1e300,
      '-1',
      '1e3',
      '0x10',
      '',
      ' ',
      true,
      null,
      {},
    ]) {
      expect(countOf(wrong)).toBeNull()
    }
    expect(countOf(' 12 ')).toBe(12)
  })
})
