import { gathered, IoError } from '@millrace/base'
import type { Done, File, OpenHow, Random } from '@millrace/base'
import { closedError } from '@millrace/host'
import type { Life } from '../seams.ts'
import { type FileContent, PAGE_BYTES } from './file-content.ts'
import type { Machine } from './machine.ts'

/** What an open file is opened on. */
export interface Opened {
  readonly path: string
  readonly content: FileContent
  readonly how: OpenHow
}

/**
 * An open file of one process. As on a real machine it appends where it believes the end to be, so that two appenders of a file overwrite
 * each other.
 */
export class SimFile implements File {
  readonly path: string
  private readonly machine: Machine
  private readonly life: Life
  private readonly content: FileContent
  private readonly how: OpenHow
  private length: number
  private poison: IoError | null = null
  private inFlight = 0
  private closing: Done<void> | null = null

  constructor(machine: Machine, life: Life, opened: Opened) {
    this.machine = machine
    this.life = life
    this.path = opened.path
    this.content = opened.content
    this.how = opened.how
    this.length = opened.content.size
  }

  get size(): number {
    return this.length
  }

  appendNow(parts: readonly Uint8Array[]): void {
    this.checkWritable()
    let total = 0
    for (const part of parts) total += part.length
    if (total === 0) return
    this.failWrite(parts)
    this.takeRoom(this.length + total)
    const { content, machine } = this
    machine.schedule.note('append', content.id)
    let at = this.length
    for (const part of parts) {
      content.write(at, part)
      machine.schedule.note('bytes', part)
      at += part.length
    }
    this.length = at
    content.modifiedMs = machine.wallMs
    machine.wrote(content)
  }

  read(at: number, into: Uint8Array, done: Done<number>): void {
    if (this.closing !== null) return this.refuse(done)
    this.start(done, () => {
      this.machine.check('read', this.path)
      return this.content.read(at, into)
    })
  }

  readNow(at: number, into: Uint8Array): number {
    if (this.closing !== null || this.life.over) throw closedError(this.path)
    this.machine.check('read', this.path)
    return this.content.read(at, into)
  }

  truncateNow(size: number): void {
    this.checkWritable()
    this.machine.check('append', this.path)
    this.takeRoom(size)
    this.machine.schedule.note('truncate', this.content.id)
    this.machine.schedule.note('size', size)
    this.content.resize(size)
    this.content.modifiedMs = this.machine.wallMs
    this.length = size
  }

  /** The bytes are taken when the write ends: who changes them on the way sees it in the file. */
  writeAt(at: number, parts: readonly Uint8Array[], done: Done<void>): void {
    const refusal = this.overwriteRefusal()
    if (refusal !== null) return this.machine.answer(this.life, done, () => throwing(refusal))
    const call = {
      work: () => this.writeThrough(at, gathered(parts)),
      abandon: (random: Random) => this.writeSome(at, gathered(parts), random),
    }
    this.inFlight++
    this.machine.begin(this.life, this.ending(done), call)
  }

  sync(done: Done<void>): void {
    if (this.closing !== null) return this.refuse(done)
    if (this.poison !== null) {
      const { poison } = this
      return this.start(done, () => throwing(poison))
    }
    const { content, machine } = this
    const capture = content.capture()
    this.inFlight++
    const work = (): void => {
      if (this.poison !== null) {
        content.dismiss(capture)
        throw this.poison
      }
      try {
        machine.check('sync', this.path)
      } catch (error) {
        this.poison = error as IoError
        content.lose(capture, machine.fate, machine.faults.survivesPercent)
        throw error
      }
      machine.schedule.note('synced', content.id)
      content.promote(capture)
    }
    // The kernel may have ended the sync that its process does not live to hear of.
    const abandon = (random: Random): void => {
      if (random.below(2) === 0) content.promote(capture)
      else content.dismiss(capture)
    }
    machine.begin(this.life, this.ending(done), { work, abandon })
  }

  close(done: Done<void>): void {
    if (this.closing !== null) return this.refuse(done)
    this.closing = done
    if (this.inFlight === 0) this.closed()
  }

  private writeThrough(at: number, bytes: Uint8Array): void {
    const { content, machine } = this
    try {
      machine.check('append', this.path)
      this.takeRoom(at + bytes.length)
    } catch (error) {
      this.writeSome(at, bytes, machine.fate)
      // Of a disk that was full nothing is lost; any other failure may have dropped pages.
      if ((error as IoError).code !== 'ENOSPC') this.poison ??= error as IoError
      throw error
    }
    machine.schedule.note('write', content.id)
    machine.schedule.note('at', at)
    machine.schedule.note('bytes', bytes)
    content.writeThrough(at, bytes)
    content.modifiedMs = machine.wallMs
    this.length = Math.max(this.length, at + bytes.length)
  }

  /** What is left of a write that failed, or whose process died: all or the first pages are in the cache, from where they may get further. */
  private writeSome(at: number, bytes: Uint8Array, random: Random): void {
    const { content, machine } = this
    const pages = Math.ceil(bytes.length / PAGE_BYTES)
    const written = random.below(2) === 0 ? bytes : bytes.subarray(0, random.below(pages + 1) * PAGE_BYTES)
    const grows = at + written.length - content.size
    if (written.length === 0 || (grows > 0 && content.named && grows > machine.freeBytes)) return
    if (grows > 0 && content.named) machine.usedBytes += grows
    machine.schedule.note('write in part', content.id)
    machine.schedule.note('bytes', written)
    content.write(at, written)
  }

  /** A failed append is undone, unless that fails too: then the file ends with something that nobody knows of, and takes nothing more. */
  private failWrite(parts: readonly Uint8Array[]): void {
    const { machine, content } = this
    try {
      machine.check('append', this.path)
    } catch (error) {
      if (machine.fate.below(4) === 0) {
        this.poison = error as IoError
        const some = gathered(parts)
        const left = some.subarray(0, machine.fate.below(some.length + 1))
        if (content.named) machine.usedBytes += Math.max(0, this.length + left.length - content.size)
        content.write(this.length, left)
      }
      throw error
    }
  }

  private takeRoom(size: number): void {
    if (this.content.named) this.machine.take(size - this.content.size, this.path)
  }

  private refusal(): IoError | null {
    if (this.closing !== null || this.life.over) return closedError(this.path)
    if (this.how === 'read' || this.how === 'overwrite')
      return new IoError('EACCES', this.path, `it is open to ${this.how} only`)
    return this.poison
  }

  private overwriteRefusal(): IoError | null {
    if (this.closing !== null || this.life.over) return closedError(this.path)
    return this.how === 'overwrite' ? this.poison : new IoError('EACCES', this.path, 'it is not open to overwrite')
  }

  private checkWritable(): void {
    const refusal = this.refusal()
    if (refusal !== null) throw refusal
  }

  private refuse<T>(done: Done<T>): void {
    this.machine.answer(this.life, done, () => throwing(closedError(this.path)))
  }

  private start<T>(done: Done<T>, work: () => T): void {
    this.inFlight++
    this.machine.answer(this.life, this.ending(done), work)
  }

  /** Counts the call as ended before it is answered. */
  private ending<T>(done: Done<T>): Done<T> {
    return (error, value) => {
      this.inFlight--
      if (this.closing !== null && this.inFlight === 0) this.closed()
      done(error, value)
    }
  }

  private closed(): void {
    this.machine.answer(this.life, this.closing as Done<void>, () => {})
  }
}

function throwing(error: IoError): never {
  throw error
}
