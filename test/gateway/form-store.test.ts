import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { afterAll, describe, expect, it } from 'vitest'
import { makeFormStores, type FormStore, type FormStores } from '../../src/gateway/forms/store.ts'
import { makeSentForm } from '../../src/gateway/forms/sent-form.ts'
import { receiveForm, type Upload } from '../../src/gateway/forms/upload.ts'
import { FORM_MEMORY_BYTES } from '../../src/kernel/limits/forms.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { makeFormScan } from '../../src/protocols/form-scan.ts'
import { formsKept, TELLS_FILES } from '../e2e/support/forms.ts'

const directory = mkdtempSync(join(tmpdir(), 'farebox-forms-'))
afterAll(() => {
  rmSync(directory, { recursive: true })
})
const onDisk = makeFormStores({ directory, log: silentLog })
const diskless = makeFormStores({ directory: join(directory, 'none'), log: silentLog })

const MB = 1024 * 1024
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
    const store = stores.open('a')
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
    const store = stores.open('a')
    for (const chunk of CHUNKS) await store.append(chunk)
    await store.close()
    await expect(store.read(0, 10)).rejects.toThrow('closed')
  })

  it('takes nothing more once it is closed', async () => {
    const store = stores.open('a')
    const last = (async () => {
      for (const chunk of CHUNKS) await store.append(chunk)
    })()
    await store.close()
    await expect(last).rejects.toThrow()
  })
})

const one = Buffer.alloc(32 * 1024 * 1024) // the same one, over and over

it('forms kept in memory are so many bytes together, and give their room back', async () => {
  const stores = Array.from({ length: 9 }, (_, at) => diskless.open(`account ${at}`))
  for (const store of stores.slice(0, 8)) await store.append(one)
  const [first, last] = [stores.at(0), stores.at(-1)]
  await expect(last?.append(one)).rejects.toMatchObject({ name: 'NoRoomForForms', of: 'all' })
  const short = diskless.open('last')
  const none = { name: 'NoRoomForForms', of: 'all' }
  await expect(short.append(one.subarray(0, 1))).rejects.toMatchObject(none)
  await first?.close()
  await last?.append(one)
  await Promise.all(stores.map((store) => store.close()))
})

const filesKept = (): number => formsKept({ pid: process.pid })

/** Short forms of one account, as many as may stay in memory, and one piece more. */
async function shortOnes(stores: FormStores) {
  const short = one.subarray(0, FORM_MEMORY_BYTES)
  const all = Array.from({ length: 128 }, () => stores.open('many'))
  for (const store of all) await store.append(short)
  return { all, more: stores.open('many'), short }
}

const close = (stores: readonly FormStore[]) => Promise.all(stores.map((store) => store.close()))

describe('short forms that are under way together', () => {
  it('go to disk where the memory of their account is full, and give it back', async () => {
    const { all, more, short } = await shortOnes(onDisk)
    const open = filesKept()
    await more.append(short.subarray(0, 70_000))
    expect(filesKept()).toBe(TELLS_FILES ? open + 1 : 0)
    await more.append(short.subarray(70_000))
    expect((await readFrom(more, 0, 50_000)).equals(short)).toBe(true)
    await all[0]?.close()
    const last = onDisk.open('many')
    await last.append(short)
    expect(filesKept()).toBe(TELLS_FILES ? open + 1 : 0)
    await close([...all, more, last])
    expect(filesKept()).toBe(0)
  })

  it('are refused beyond it where there is no disk', async () => {
    const { all, more, short } = await shortOnes(diskless)
    await expect(more.append(short)).rejects.toMatchObject({ name: 'NoRoomForForms', of: 'own' })
    await all[0]?.close()
    await more.append(short)
    await close([...all, more])
  })

  it('count what is read of them too, wherever they are kept', async () => {
    const stores = [onDisk.open('many'), onDisk.open('many')]
    for (const store of stores) store.countRead(64 * MB)
    for (const store of stores) store.countRead(60 * MB) // was counted
    expect(() => {
      stores[0]?.countRead(64 * MB + 1)
    }).toThrow('own')
    await stores[1]?.close()
    stores[0]?.countRead(128 * MB)
    await close(stores)
  })

  it('are few pieces, also where they come byte by byte', async () => {
    const store = onDisk.open('drop by drop')
    for (let at = 0; at < 100_000; at++) await store.append(BYTES.subarray(at, at + 1))
    expect((await store.read(0, MB)).length).toBeGreaterThan(4_000)
    const { bytes } = store
    expect((await readFrom(store, 0, MB)).equals(BYTES.subarray(0, bytes))).toBe(true)
    await store.close()
  })
})

const FORM = Buffer.concat([
  Buffer.from('--xx\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'),
  one.subarray(0, 2 * MB),
  Buffer.from('\r\n--xx--\r\n'),
])

/** A form of 2 MiB of which the first bytes have come. */
function beginning(stores: FormStores, owner: string, bytes: number) {
  const request = new IncomingMessage(new Socket())
  request.headers['content-type'] = 'multipart/form-data; boundary=xx'
  const scan = makeFormScan(request.headers['content-type'], 0)
  if ('ok' in scan) throw new Error(scan.message)
  const store = stores.open(owner)
  const rest = { bytesMax: 4 * MB, log: silentLog, cutOff: () => undefined }
  const upload = receiveForm({ request, scan, store, ...rest })
  request.push(FORM.subarray(0, bytes))
  return { request, upload }
}

/** All of it. */
function uploading(stores: FormStores, owner: string): Upload {
  const { request, upload } = beginning(stores, owner, FORM.length)
  request.push(null)
  return upload
}

/** What is sent of a form, and whether that is all. */
async function sentOf(body: Readable): Promise<{ bytes: Buffer; isAll: boolean }> {
  const chunks: Buffer[] = []
  const coming: AsyncIterable<Buffer> = body
  try {
    for await (const chunk of coming) chunks.push(chunk)
    return { bytes: Buffer.concat(chunks), isAll: true }
  } catch {
    return { bytes: Buffer.concat(chunks), isAll: false }
  }
}

const NO_SOUNDS = { seconds: () => Promise.resolve({ kind: 'unreadable' as const }) }

describe('a form that goes on while it comes', () => {
  it('never ends at its upstream where the hold was lost, and can be sent anew', async () => {
    const { request, upload } = beginning(onDisk, 'a', 1.5 * MB)
    const sent = makeSentForm(upload, null, NO_SOUNDS)
    const first = sentOf(sent.body(() => Promise.resolve(false)))
    request.push(FORM.subarray(1.5 * MB))
    request.push(null)
    const { bytes, isAll } = await first
    expect(isAll).toBe(false)
    expect(FORM.indexOf(bytes)).toBe(0)
    expect(bytes.includes('--xx--')).toBe(false)
    expect(sent.stopped).toMatchObject({ code: 'gateway_unavailable' })
    const again = await sentOf(sent.body(() => true))
    expect([again.isAll, again.bytes.equals(FORM)]).toEqual([true, true])
    sent.close()
  })

  it('is read again in turns, also where it is kept in memory', async () => {
    const upload = uploading(diskless, 'a')
    await upload.over
    const sent = makeSentForm(upload, null, NO_SOUNDS)
    let turns = 0
    let isReading = true
    const tick = (): void => {
      turns += 1
      if (isReading) setImmediate(tick)
    }
    setImmediate(tick)
    let bytes = 0
    for await (const chunk of sent.chunks()) bytes += chunk.length
    isReading = false
    expect(bytes).toBe(FORM.length)
    expect(turns).toBeGreaterThan(3)
    sent.close()
  })

  it('ends for all who wait for it where its client is cut off in the middle', async () => {
    const { request, upload } = beginning(onDisk, 'a', 1.5 * MB)
    await upload.begun
    const sent = makeSentForm(upload, null, NO_SOUNDS)
    const sending = sentOf(sent.body(() => true))
    request.destroy(new Error('too slow'))
    expect(await sending).toMatchObject({ isAll: false })
    const broken = { ok: false, code: 'request_timeout' }
    expect([await upload.over, sent.stopped]).toMatchObject([broken, broken])
    sent.close()
  })
})

it('an account that has its share of them is told so, and the others go on', async () => {
  const flood = Array.from({ length: 4 }, () => diskless.open('flood'))
  for (const store of flood) await store.append(one)
  const [refused, taken] = [uploading(diskless, 'flood'), uploading(diskless, 'other')]
  expect(await refused.over).toMatchObject({ ok: false, code: 'rate_limit_exceeded' })
  expect(await taken.over).toMatchObject({ ok: true })
  refused.close()
  await flood[0]?.close()
  const again = uploading(diskless, 'flood')
  expect(await again.over).toMatchObject({ ok: true })
  for (const upload of [taken, again]) upload.close()
  await Promise.all(flood.map((store) => store.close()))
})
