import { assert, type Entry, type IoError, type VoterId } from '@millrace/base'
import type { VotersCodec } from '@millrace/raft'
import type { MemberLog } from './member-log.ts'
import type { Snapshot } from './snapshot-format.ts'

const READ_BYTES = 1024 * 1024

export interface ApplierHooks {
  committed(index: number, term: number, payload: Uint8Array): void
  /** After every run of entries. */
  progressed(): void
  failed(error: IoError): void
}

/** Hands committed entries to the state machine in order, each once, from memory or from the store. */
export class Applier {
  readonly #log: MemberLog
  readonly #codec: VotersCodec
  readonly #hooks: ApplierHooks
  #reading = false
  #commitIndex: number
  index: number
  term: number
  /** The voter set as of `index`. */
  voters: readonly VoterId[]
  /** Payload bytes since the last snapshot. */
  bytesSinceSnapshot = 0

  constructor(log: MemberLog, codec: VotersCodec, snapshot: Snapshot | null, hooks: ApplierHooks) {
    this.#log = log
    this.#codec = codec
    this.#hooks = hooks
    this.index = snapshot?.index ?? 0
    this.term = snapshot?.term ?? 0
    this.voters = snapshot?.voters ?? []
    this.#commitIndex = this.index
  }

  commitTo(commitIndex: number): void {
    if (commitIndex <= this.#commitIndex) return
    this.#commitIndex = commitIndex
    this.#pump()
  }

  /** A snapshot replaced what was applied. */
  restored(snapshot: Snapshot): void {
    assert(snapshot.index > this.index, 'a snapshot never takes the state back')
    this.index = snapshot.index
    this.term = snapshot.term
    this.voters = snapshot.voters
    this.#commitIndex = Math.max(this.#commitIndex, snapshot.index)
    this.bytesSinceSnapshot = 0
  }

  #pump(): void {
    while (!this.#reading && this.index < this.#commitIndex) {
      const entries = this.#log.recent(this.index + 1, this.#commitIndex, READ_BYTES)
      if (entries === null) {
        this.#readOn()
        return
      }
      this.#apply(entries)
    }
  }

  #readOn(): void {
    this.#reading = true
    this.#log.read(this.index + 1, this.#commitIndex, READ_BYTES, (error, entries) => {
      this.#reading = false
      if (error !== null) return this.#hooks.failed(error)
      // A snapshot may have come in between; then these entries are history.
      if (entries[0]?.index === this.index + 1) this.#apply(entries)
      this.#pump()
    })
  }

  #apply(entries: readonly Entry[]): void {
    for (const { index, term, kind, payload } of entries) {
      this.index = index
      this.term = term
      this.bytesSinceSnapshot += payload.length
      if (kind === 'voters') this.voters = this.#codec.decode(payload)
      if (kind === 'data') this.#hooks.committed(index, term, payload)
    }
    this.#log.forget(this.index)
    this.#hooks.progressed()
  }
}
