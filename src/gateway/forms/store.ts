import { randomUUID } from 'node:crypto'
import { open, unlink, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import {
  FORM_MEMORY_BYTES,
  FORMS_KEPT_BYTES_MAX,
  FORMS_KEPT_IN_MEMORY_BYTES_MAX,
} from '../../kernel/limits-media.ts'
import { describeError, type Log } from '../../kernel/log.ts'
import { makeRoom, type NoRoom, type Room } from '../../kernel/room.ts'

/** Keeps the bytes of one form while they are needed. */
export interface FormStore {
  readonly bytes: number
  /** One at a time. Rejects where there is no room. */
  append(chunk: Buffer): Promise<void>
  /** Some of the bytes from `at`, at most `bytesMax` and at least one where there are any. */
  read(at: number, bytesMax: number): Promise<Buffer>
  close(): Promise<void>
}

export interface FormStores {
  /** `owner`: whose form it is. */
  open(owner: string): FormStore
}

export class NoRoomForForms extends Error {
  override readonly name = 'NoRoomForForms'
  /** own: its owner has its share; others have room. */
  readonly of: NoRoom

  constructor(of: NoRoom) {
    super(of)
    this.of = of
  }
}

/** Bytes of forms, and how many of them each owner has. */
interface Rooms {
  readonly onDisk: Room
  readonly inMemory: Room
}

/** A file without a name: nobody else can open it, and nothing is left of it after a crash. */
async function openNameless(directory: string): Promise<FileHandle> {
  const path = join(directory, `farebox-form-${randomUUID()}`)
  const file = await open(path, 'wx+', 0o600)
  await unlink(path)
  return file
}

/** Chunks in memory, and where each begins. */
class Chunks {
  readonly all: Buffer[] = []
  #starts: number[] = []
  #bytes = 0

  add(chunk: Buffer): void {
    this.all.push(chunk)
    this.#starts.push(this.#bytes)
    this.#bytes += chunk.length
  }

  read(at: number, bytesMax: number): Buffer {
    let [low, high] = [0, this.all.length]
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if ((this.#starts[middle] ?? 0) <= at) low = middle
      else high = middle
    }
    const from = at - (this.#starts[low] ?? 0)
    return this.all[low]?.subarray(from, from + bytesMax) ?? Buffer.alloc(0)
  }
}

async function writeAll(file: FileHandle, chunk: Buffer, at: number): Promise<void> {
  for (let done = 0; done < chunk.length;) {
    const { bytesWritten } = await file.write(chunk, done, chunk.length - done, at + done)
    done += bytesWritten
  }
}

class Store implements FormStore {
  bytes = 0
  #owner: string
  #rooms: Rooms
  /** null = there is no disk. */
  #openFile: () => Promise<FileHandle | null>
  #chunks = new Chunks()
  #file: FileHandle | null = null
  #isDiskless = false
  #isClosed = false
  #taken = { onDisk: 0, inMemory: 0 }

  constructor(owner: string, rooms: Rooms, openFile: () => Promise<FileHandle | null>) {
    this.#owner = owner
    this.#rooms = rooms
    this.#openFile = openFile
  }

  async append(chunk: Buffer): Promise<void> {
    const bytes = this.bytes + chunk.length
    if (bytes > FORM_MEMORY_BYTES && this.#file === null && !this.#isDiskless) await this.#spill()
    if (this.#file !== null) {
      this.#take('onDisk', chunk.length)
      await writeAll(this.#file, chunk, this.bytes)
    } else {
      if (this.#isDiskless) this.#take('inMemory', chunk.length)
      this.#chunks.add(chunk)
    }
    this.bytes = bytes
  }

  async read(at: number, bytesMax: number): Promise<Buffer> {
    if (this.#isClosed) throw new Error('a form was closed while it was read')
    if (this.#file === null) return this.#chunks.read(at, bytesMax)
    const buffer = Buffer.allocUnsafeSlow(Math.min(bytesMax, this.bytes - at))
    const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, at)
    if (bytesRead === 0 && buffer.length > 0) throw new Error('a form is shorter than was written')
    return buffer.subarray(0, bytesRead)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#rooms.onDisk.give(this.#owner, this.#taken.onDisk)
    this.#rooms.inMemory.give(this.#owner, this.#taken.inMemory)
    this.#chunks = new Chunks()
    await this.#file?.close()
  }

  #take(where: keyof Rooms, bytes: number): void {
    if (this.#isClosed) throw new Error('a form was closed while it came')
    const none = this.#rooms[where].take(this.#owner, bytes)
    if (none !== null) throw new NoRoomForForms(none)
    this.#taken[where] += bytes
  }

  async #spill(): Promise<void> {
    const file = await this.#openFile()
    if (file === null) {
      this.#take('inMemory', this.bytes)
      this.#isDiskless = true
      return
    }
    try {
      this.#take('onDisk', this.bytes)
      let at = 0
      for (const chunk of this.#chunks.all) {
        await writeAll(file, chunk, at)
        at += chunk.length
      }
      if (this.#isClosed) throw new Error('a form was closed while it came')
    } catch (error) {
      await file.close()
      throw error
    }
    this.#file = file
    this.#chunks = new Chunks()
  }
}

/**
 * Keeps forms that come: in memory up to FORM_MEMORY_BYTES, then in a file without a name in
 * `directory`; in memory all the same where no file can be made there. Bounded for the process by
 * FORMS_KEPT_BYTES_MAX and FORMS_KEPT_IN_MEMORY_BYTES_MAX, which owners share.
 */
export function makeFormStores(deps: {
  readonly directory: string
  readonly log: Log
}): FormStores {
  const rooms: Rooms = {
    onDisk: makeRoom(FORMS_KEPT_BYTES_MAX),
    inMemory: makeRoom(FORMS_KEPT_IN_MEMORY_BYTES_MAX),
  }
  const openFile = async (): Promise<FileHandle | null> => {
    try {
      return await openNameless(deps.directory)
    } catch (error) {
      const fields = { directory: deps.directory, error: describeError(error) }
      deps.log.warn(fields, 'no file can be made for a form: it is kept in memory')
      return null
    }
  }
  return { open: (owner) => new Store(owner, rooms, openFile) }
}
