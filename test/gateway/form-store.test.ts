import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { makeFormStores, NoRoomForForms, type FormStore } from '../../src/gateway/forms/store.ts'
import { FORM_MEMORY_BYTES } from '../../src/kernel/limits-media.ts'
import { silentLog } from '../../src/kernel/log.ts'

const directory = mkdtempSync(join(tmpdir(), 'farebox-forms-'))
afterAll(() => {
  rmSync(directory, { recursive: true })
})
const onDisk = makeFormStores({ directory, log: silentLog })
const diskless = makeFormStores({ directory: join(directory, 'none'), log: silentLog })

const BYTES = Buffer.from(Array.from({ length: 300_007 }, (_, at) => at % 251))
const CHUNKS = [1, 70_000, 300_000, 0, 300_000, 300_000, 300_000, 5].map((end) =>
  BYTES.subarray(0, end),
)
const WHOLE = Buffer.concat(CHUNKS)

/** All bytes from a place on, in pieces of this many. */
async function readFrom(store: FormStore, from: number, bytesMax: number): Promise<Buffer> {
  const parts: Buffer[] = []
  for (let at = from; at < store.bytes;) {
    const part = await store.read(at, bytesMax)
    expect(part.length).toBeGreaterThan(0)
    expect(part.length).toBeLessThanOrEqual(bytesMax)
    parts.push(part)
    at += part.length
  }
  return Buffer.concat(parts)
}

describe.each([
  ['on disk', onDisk],
  ['in memory where there is no disk', diskless],
])('a form kept %s', (_where, stores) => {
  it('has the bytes that came, from every place, while it comes', async () => {
    const store = stores.open()
    let bytes = 0
    for (const chunk of CHUNKS) {
      await store.append(chunk)
      bytes += chunk.length
      expect(store.bytes).toBe(bytes)
      const from = Math.max(0, bytes - 70_000)
      expect((await readFrom(store, from, 33_000)).equals(WHOLE.subarray(from, bytes))).toBe(true)
    }
    expect((await readFrom(store, 0, 100_000)).equals(WHOLE)).toBe(true)
    expect(readdirSync(directory)).toEqual([])
    await store.close()
    await store.close()
  })

  it('gives nothing once it is closed, and says so', async () => {
    const store = stores.open()
    for (const chunk of CHUNKS) await store.append(chunk)
    await store.close()
    await expect(store.read(0, 10)).rejects.toThrow('closed')
  })

  it('takes nothing more once it is closed', async () => {
    const store = stores.open()
    const last = (async () => {
      for (const chunk of CHUNKS) await store.append(chunk)
    })()
    await store.close()
    await expect(last).rejects.toThrow()
  })
})

it('forms kept in memory are so many bytes together, and give their room back', async () => {
  const one = Buffer.alloc(32 * 1024 * 1024) // the same one, over and over
  const stores = Array.from({ length: 9 }, () => diskless.open())
  for (const store of stores.slice(0, 8)) await store.append(one)
  const [first, last] = [stores.at(0), stores.at(-1)]
  await expect(last?.append(one)).rejects.toThrow(NoRoomForForms)
  const small = diskless.open()
  await small.append(one.subarray(0, FORM_MEMORY_BYTES)) // what is small needs no room
  await first?.close()
  await last?.append(one)
  await Promise.all(stores.map((store) => store.close()))
})
