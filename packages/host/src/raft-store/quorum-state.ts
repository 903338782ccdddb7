import { open, readFile, rename } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { assert } from '@millrace/base'
import { decodeState, encodeState } from './stored-state.ts'
import type { StoredState } from './stored-state.ts'

/** Each slot has a page of its own, so that a write torn by a power cut destroys one of them only. */
const SLOT_BYTES = 4096
const SLOTS = 2

/**
 * The file beside the log that says what the log must hold. It has two slots, written in turn at fixed places: an overwrite of blocks
 * that the file has already needs no change of the file system's own records, so its sync costs one write. The newest slot whose
 * checksum is right counts.
 */
export class QuorumStateFile {
  private readonly handle: FileHandle

  constructor(handle: FileHandle) {
    this.handle = handle
  }

  /** Makes the file with this state, or replaces it, durably. */
  static async create(path: string, state: StoredState): Promise<QuorumStateFile> {
    const temporary = `${path}.tmp`
    const handle = await open(temporary, 'w')
    await writeSlot(handle, slot(state), slotAt(state.sequence))
    await writeSlot(handle, Buffer.alloc(SLOT_BYTES, ' '), slotAt(state.sequence + 1))
    await handle.sync()
    await rename(temporary, path)
    await syncFolder(dirname(path))
    return new QuorumStateFile(handle)
  }

  /** The file as it is there. */
  static async open(path: string): Promise<QuorumStateFile> {
    return new QuorumStateFile(await open(path, 'r+'))
  }

  /** Writes the state into the older slot; durable when the promise is fulfilled. */
  async write(state: StoredState): Promise<void> {
    await writeSlot(this.handle, slot(state), slotAt(state.sequence))
    await this.handle.datasync()
  }

  close(): Promise<void> {
    return this.handle.close()
  }
}

/** The newest state of a quorum-state file; `missing` without the file, `corrupt` when neither slot can be read. */
export async function readQuorumState(path: string): Promise<StoredState | 'missing' | 'corrupt'> {
  let bytes: Buffer
  try {
    bytes = await readFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'missing'
    throw error
  }
  const first = decodeState(bytes.subarray(0, SLOT_BYTES))
  const second = decodeState(bytes.subarray(SLOT_BYTES))
  if (first === null || second === null) return first ?? second ?? 'corrupt'
  return first.sequence > second.sequence ? first : second
}

/** Makes the names in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(join(path, '.'), 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function slot(state: StoredState): Buffer {
  const line = encodeState(state)
  assert(line.length <= SLOT_BYTES, 'the state of a raft store is larger than its slot')
  const padded = Buffer.alloc(SLOT_BYTES, ' ')
  line.copy(padded)
  return padded
}

function slotAt(sequence: number): number {
  return (sequence % SLOTS) * SLOT_BYTES
}

async function writeSlot(handle: FileHandle, bytes: Buffer, at: number): Promise<void> {
  const { bytesWritten } = await handle.write(bytes, 0, bytes.length, at)
  if (bytesWritten < bytes.length) throw new Error(`only ${bytesWritten} bytes of the quorum state could be written`)
}
