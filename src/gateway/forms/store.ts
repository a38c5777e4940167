import { randomUUID } from 'node:crypto'
import { open, unlink, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import {
  FORMS_KEPT_BYTES_MAX,
  FORMS_KEPT_IN_MEMORY_BYTES_MAX,
  FORMS_READ_BYTES_MAX,
  FORM_MEMORY_BYTES,
  FORM_PIECE_BYTES,
} from '../../kernel/limits/forms.ts'
import { describeError, type Log } from '../../kernel/log.ts'
import { makeRoom, type NoRoom, type Room } from '../../kernel/room.ts'

/** Keeps the bytes of one form while they are needed. */
export interface FormStore {
  readonly bytes: number
  /** One at a time. Rejects where there is no room. */
  append(chunk: Buffer): Promise<void>
  /** Counts so many bytes that are kept of it elsewhere, in memory, by now. Throws as `append`. */
  countRead(bytes: number): void
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
  readonly read: Room
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
    const tail = this.all.at(-1)
    if (tail !== undefined && tail.length + chunk.length <= FORM_PIECE_BYTES) {
      this.all[this.all.length - 1] = Buffer.concat([tail, chunk])
      this.#bytes += chunk.length
      return
    }
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
  #taken = { onDisk: 0, inMemory: 0, read: 0 }

  constructor(owner: string, rooms: Rooms, openFile: () => Promise<FileHandle | null>) {
    this.#owner = owner
    this.#rooms = rooms
    this.#openFile = openFile
  }

  async append(chunk: Buffer): Promise<void> {
    const file = await this.#placeFor(chunk)
    if (file === null) this.#chunks.add(chunk)
    else await writeAll(file, chunk, this.bytes)
    this.bytes += chunk.length
  }

  countRead(bytes: number): void {
    if (bytes > this.#taken.read) this.#take('read', bytes - this.#taken.read)
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
    for (const where of ['onDisk', 'inMemory', 'read'] as const) this.#give(where)
    this.#chunks = new Chunks()
    await this.#file?.close()
  }

  /** Takes room for a chunk: in the file, or in memory (null). */
  async #placeFor(chunk: Buffer): Promise<FileHandle | null> {
    if (this.#file === null && this.#takeShort(chunk)) return null
    if (this.#file === null && !this.#isDiskless) await this.#spill()
    this.#take(this.#file === null ? 'inMemory' : 'onDisk', chunk.length)
    return this.#file
  }

  /** Takes memory for a chunk of a form that is short by now; false = there is none for it. */
  #takeShort(chunk: Buffer): boolean {
    if (this.bytes + chunk.length > FORM_MEMORY_BYTES) return false
    return this.#tryTake('inMemory', chunk.length) === null
  }

  #tryTake(where: keyof Rooms, bytes: number): NoRoom | null {
    if (this.#isClosed) throw new Error('a form was closed while it came')
    const none = this.#rooms[where].take(this.#owner, bytes)
    if (none === null) this.#taken[where] += bytes
    return none
  }

  #take(where: keyof Rooms, bytes: number): void {
    const none = this.#tryTake(where, bytes)
    if (none !== null) throw new NoRoomForForms(none)
  }

  #give(where: keyof Rooms): void {
    this.#rooms[where].give(this.#owner, this.#taken[where])
    this.#taken[where] = 0
  }

  async #spill(): Promise<void> {
    const file = await this.#openFile()
    if (file === null) {
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
    this.#give('inMemory')
  }
}

/**
 * Keeps forms that come: in memory up to FORM_MEMORY_BYTES and while there is room, then in a file
 * without a name in `directory`; in memory all the same where no file can be made there. Bounded
 * for the process by FORMS_KEPT_BYTES_MAX, FORMS_KEPT_IN_MEMORY_BYTES_MAX and FORMS_READ_BYTES_MAX,
 * which owners share.
 */
export function makeFormStores(deps: {
  readonly directory: string
  readonly log: Log
}): FormStores {
  const rooms: Rooms = {
    onDisk: makeRoom(FORMS_KEPT_BYTES_MAX),
    inMemory: makeRoom(FORMS_KEPT_IN_MEMORY_BYTES_MAX),
    read: makeRoom(FORMS_READ_BYTES_MAX),
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
