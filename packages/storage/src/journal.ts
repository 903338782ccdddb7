import { type Done, IoError, type Timer, type World } from '@millrace/base'
import { nextOffset } from '@millrace/records'
import type { DiskSpace } from './disk-space.ts'
import { JournalCheckpoints } from './journal-checkpoints.ts'
import { type GroupPlace, JournalFiles } from './journal-files.ts'
import { headerBytes, type JournalOp, LIFE_BYTES } from './journal-format.ts'
import { type Group, groupCount, groupOf, type JournaledLog, MAX_GROUP_ENTRIES, type Pending } from './journal-group.ts'
import type { Chunk, TailCache } from './tail-cache.ts'

export interface JournalOptions {
  readonly world: World
  readonly path: string
  readonly fileBytes: number
  readonly tails: TailCache
  readonly space: DiskSpace
  /** A write failed: nothing of this directory can be trusted from now on. */
  readonly failed: (error: IoError) => void
  /** After the durable reports of a group, in the same turn. */
  readonly groupEnded: () => void
  /** Makes all that was appended before this call durable without the journal. */
  readonly checkpoint: (done: Done<void>) => void
}

/** An append is divided into entries of about this size, which a replay takes one at a time. */
const ENTRY_BYTES = 1024 * 1024
/** What may happen to a log beside appends. */
export type LogChange = Exclude<JournalOp, 'append' | 'make'>

/** What a full disk refused is tried again after this. */
const RETRY_US = 1_000_000

/**
 * What makes appends durable: one journal for all logs of a directory. Every change of a log goes to its segments in the page cache, and
 * to the journal; one vectored write of the journal at a time carries everything that waits for it. Its files are written over again
 * once a checkpoint has made the segments durable that their groups are about.
 */
export class Journal {
  /** Drawn anew for every journal: what was written under another one is not of this. */
  readonly life = new Uint8Array(LIFE_BYTES)
  private readonly options: JournalOptions
  private readonly files: JournalFiles
  private readonly checkpoints: JournalCheckpoints
  private readonly header = new Uint8Array(headerBytes(MAX_GROUP_ENTRIES))
  /** What pads a group, and what a file grows by. */
  private readonly zeros = new Uint8Array(1024 * 1024)
  private pending: Pending[] = []
  private nextNumber = 1
  private asked = false
  /** Until a group that a full disk refused is tried again. */
  private timer: Timer | null = null
  private writing = false
  private ended = false
  /** Set while a full disk refuses the group that is to be written. */
  private refused: IoError | null = null
  private waiting: Done<void>[] = []
  /** Groups that were written, and their bytes. */
  groups = 0
  bytes = 0

  constructor(options: JournalOptions) {
    this.options = options
    const { world, path, fileBytes, checkpoint } = options
    this.files = new JournalFiles({ disk: world.disk, path, fileBytes })
    this.checkpoints = new JournalCheckpoints(world.timers, checkpoint, () => this.firstUnwritten)
    world.random.fill(this.life)
  }

  /** Makes the first file ready, from those that an earlier journal left in these slots. Nothing may be added before. */
  begin(slots: readonly number[], done: Done<void>): void {
    this.files.adopt(slots, (error) => (error === null ? this.files.begin(done) : done(error)))
  }

  /** Batches were appended to a log that ended at `from`. `copy` is where the tail cache keeps them, if it does. */
  // oxlint-disable-next-line max-params -- the append path.
  appended(log: JournaledLog, from: number, batches: readonly Uint8Array[], copy: Chunk | null): void {
    const slab = copy?.slab ?? null
    let at = copy?.at ?? 0
    let begin = from
    let bytes = 0
    let first = 0
    for (let index = 0; index < batches.length; index++) {
      const batch = batches[index] as Uint8Array
      bytes += batch.length
      if (bytes + (batches[index + 1]?.length ?? ENTRY_BYTES) <= ENTRY_BYTES) continue
      const end = nextOffset(batch, 0)
      if (slab !== null) this.options.tails.pin(slab)
      const own = slab === null ? batches.slice(first, index + 1) : []
      this.add(log, { op: 'append', from: begin, end, bytes, slab, at, batches: own, done: null })
      begin = end
      at += bytes
      bytes = 0
      first = index + 1
    }
  }

  /** The log was cut or emptied, or begins at `from` now. `done` is called once that is on disk, after the durable report. */
  // oxlint-disable-next-line max-params -- what changed, and who waits for it.
  changed(log: JournaledLog, op: LogChange, from: number = log.endOffset, done: Done<void> | null = null): void {
    this.add(log, { op, from, end: log.endOffset, bytes: 0, slab: null, at: 0, batches: [], done })
  }

  /** A log is about to be made that begins at `offset`: once `done` is called nothing earlier of the same partition is replayed. */
  begins(key: Uint8Array, offset: number, done: Done<void>): void {
    if (this.ended) return done(this.endedError())
    const nothing = { bytes: 0, slab: null, at: 0, batches: [] }
    this.push({ key, op: 'make', from: offset, end: offset, log: null, generation: 0, done, ...nothing })
  }

  /** The first group that is not on disk: a cut in it is not done to the files yet. */
  private get firstUnwritten(): number {
    return this.writing ? this.nextNumber - 1 : this.nextNumber
  }

  /** Nothing waits to be written. */
  get idle(): boolean {
    return this.pending.length === 0 && !this.writing
  }

  /** All that was added is on disk; `done` gets the error where the disk is full, or failed. */
  flush(done: Done<void>): void {
    if (this.refused !== null || this.ended || this.idle) return done(this.refused)
    this.waiting.push(done)
    this.write()
  }

  /** Nothing is written any more. */
  end(): void {
    this.ended = true
    this.timer?.cancel()
    this.checkpoints.end()
    const abandoned = this.pending
    this.pending = []
    for (const { done } of abandoned) done?.(this.endedError())
  }

  private endedError(): IoError {
    return new IoError('ECLOSED', this.options.path, 'the journal has ended')
  }

  /** Ends the journal and closes its files, once the write under way has ended. */
  close(done: Done<void>): void {
    this.end()
    this.files.close(done)
  }

  private add(log: JournaledLog, entry: Omit<Pending, 'log' | 'key' | 'generation'>): void {
    this.push({ ...entry, log, key: log.journalKey, generation: log.generation })
  }

  private push(entry: Pending): void {
    if (this.ended) return
    this.pending.push(entry)
    this.checkpoints.changed()
    this.schedule()
  }

  /** Not now: the rest of this turn's appends belong to the same group. */
  private schedule(): void {
    if (this.asked || this.writing || this.ended) return
    this.asked = true
    this.options.world.timers.endOfTurn(this.write)
  }

  private readonly write = (): void => {
    this.asked = false
    if (this.writing || this.ended || this.pending.length === 0) return
    this.writing = true
    this.writeGroup(this.takeGroup())
  }

  private takeGroup(): Group {
    const { pending } = this
    const count = groupCount(pending)
    const entries = count === pending.length ? pending : pending.slice(0, count)
    this.pending = count === pending.length ? [] : pending.slice(count)
    const head = { life: this.life, number: this.nextNumber++, firstNeeded: this.checkpoints.firstNeeded }
    return groupOf(head, entries, this.header)
  }

  private writeGroup(group: Group): void {
    const place = this.files.place(group.bytes)
    if (place === null) return this.beginFile(group)
    const { file, at, growth } = place
    const size = file.size
    file.writeAt(at, [...group.parts, this.padding(group, place)], (error) => {
      if (error !== null) return this.failed(group, error)
      this.options.space.wrote(Math.max(0, at + group.bytes + growth - size))
      this.finish(group)
    })
  }

  private padding({ parts, bytes }: Group, { growth }: GroupPlace): Uint8Array {
    const used = parts.reduce((sum, part) => sum + part.length, 0)
    return this.zeros.subarray(0, bytes - used + growth)
  }

  private beginFile(group: Group): void {
    this.files.begin((error) => {
      if (error !== null) return this.failed(group, error)
      if (this.files.fullCount > 0) this.checkpoints.due()
      this.writeGroup(group)
    })
  }

  /**
   * A full disk passes: nothing of the group counts yet, and all of it is written again. After any other failure it is unknown what is on
   * disk, and trying again would prove nothing.
   */
  private failed(group: Group, error: IoError): void {
    if (this.ended) return
    if (error.code !== 'ENOSPC') {
      this.end()
      this.options.failed(error)
      for (const { done } of group.entries) done?.(error)
      return this.released(error)
    }
    this.refused = error
    this.options.space.ranOut()
    this.released(error)
    this.timer = this.options.world.timers.after(RETRY_US, () => this.writeGroup(group))
  }

  private finish(group: Group): void {
    this.writing = false
    this.refused = null
    if (this.ended) return
    this.groups++
    this.bytes += group.bytes
    this.files.wrote(group.bytes, group.number)
    this.files.release(group.firstNeeded)
    this.report(group)
    if (this.pending.length === 0) this.released(null)
    else if (this.waiting.length > 0) this.write()
    else this.schedule()
  }

  /** What a log was told last in the group is what is true of it now, unless it has changed since. */
  private report({ entries }: Group): void {
    const latest = new Map<JournaledLog, Pending>()
    for (const entry of entries) {
      if (entry.slab !== null) this.options.tails.unpin(entry.slab)
      if (entry.log !== null) latest.set(entry.log, entry)
    }
    for (const [log, { end, generation }] of latest)
      if (log.generation === generation && !log.closed) log.becameDurable(end)
    for (const { done } of entries) done?.(null)
    if (latest.size > 0) this.options.groupEnded()
  }

  private released(error: IoError | null): void {
    const waiting = this.waiting
    this.waiting = []
    for (const done of waiting) done(error)
  }
}
