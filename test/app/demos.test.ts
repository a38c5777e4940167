import { expect, test } from 'vitest'
import { startDemos } from '../../src/app/demos.ts'
import { loadConfig, readEnvironment } from '../../src/config.ts'

const KEYS = { OPENAI_API_KEY: 'k', ANTHROPIC_API_KEY: 'k', GEMINI_API_KEY: 'k' }

test.each(['sk_live_x', 'sk_test_x'])(
  'Stripe is not played where a key is set: %s',
  async (key) => {
    const real = readEnvironment({ ...KEYS, STRIPE_SECRET_KEY: key })
    const demos = await startDemos(real, true)
    expect(demos).toMatchObject({ stripe: null, names: [] })
    expect(demos.environment).toBe(real)
    expect(demos.configure(loadConfig(real))).toMatchObject({ packs: [], plans: [] })
  },
)

test('nothing is played outside of quickstart', async () => {
  const real = readEnvironment({})
  const demos = await startDemos(real, false)
  expect(demos).toMatchObject({ stripe: null, names: [] })
  expect(demos.configure(loadConfig(real))).toMatchObject({ packs: [], upstreams: {} })
})
