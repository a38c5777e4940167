import { afterEach, describe, expect, it } from 'vitest'
import { makeUpstreams, type UpstreamConfig, type Upstreams } from '../../src/gateway/upstreams.ts'

const base: Omit<UpstreamConfig, 'name' | 'models'> = {
  protocol: 'openai',
  baseUrl: 'http://127.0.0.1:9/v1',
  apiKey: null,
  onDisconnect: 'abort',
  unbounded: 'cap',
  storedIds: 'own',
  unboundedReserveTokens: 0,
  outputLimitField: 'max_tokens',
  responseMsMax: 1_000,
  fallback: [],
  breakerSettings: { failurePercent: 50, callsMin: 20, openMs: 1_000 },
}

let open: Upstreams | null = null
afterEach(() => open?.destroy())

function upstreams(list: readonly (Partial<UpstreamConfig> & { name: string })[]): Upstreams {
  open = makeUpstreams(list.map((one) => ({ ...base, models: null, ...one })))
  return open
}

describe('the upstream of a model', () => {
  it('is the one that names it most closely, whatever the order of the configuration', () => {
    const made = upstreams([
      { name: 'all' },
      { name: 'star', models: ['*'] },
      { name: 'gpt', models: ['gpt-*'] },
      { name: 'mini', models: ['gpt-4o-mini*'] },
      { name: 'one', models: ['gpt-4o-mini-2024'] },
      { name: 'claude', models: ['claude-*'], protocol: 'anthropic' },
    ])
    const name = (model: string): string | undefined => made.choose('openai', model)?.name
    expect(name('gpt-4o-mini-2024')).toBe('one')
    expect(name('gpt-4o-mini-2025')).toBe('mini')
    expect(name('gpt-4o')).toBe('gpt')
    expect(name('llama')).toBe('star')
    expect(name('claude-x')).toBe('star') // another protocol's list is not looked at
    expect(made.choose('anthropic', 'gpt-4o')).toBeNull()
  })

  it('is the first of two alike', () => {
    const made = upstreams([
      { name: 'first', models: ['gpt-*'] },
      { name: 'second', models: ['gpt-*'] },
      { name: 'rest' },
      { name: 'rest too' },
    ])
    expect(made.choose('openai', 'gpt-5')?.name).toBe('first')
    expect(made.choose('openai', 'other')?.name).toBe('rest')
  })

  it('knows who stands in for it, in order', () => {
    const made = upstreams([
      { name: 'a', fallback: ['c', 'b'] },
      { name: 'b', models: ['b'] },
      { name: 'c', models: ['c'] },
    ])
    expect(made.choose('openai', 'x')?.fallbacks.map(({ name }) => name)).toEqual(['c', 'b'])
  })
})
