import type { Random } from '@millrace/base'
import type { SimStorage } from '../seams.ts'
import type { DurableRaft } from './durable-raft.ts'
import type { FileContent } from './file-content.ts'
import type { Machine } from './machine.ts'
import type { Place } from './names.ts'

export type DamageKind = Parameters<SimStorage['damage']>[0]

interface StoreAt {
  readonly at: Place
  readonly raft: DurableRaft
}

interface FileAt {
  readonly path: string
  readonly at: Place
  readonly content: FileContent
}

/** One in so many damages hits the Raft store. */
const RAFT_SHARE = 5
/** One in so many of the others hits a segment: there are many small files beside them. */
const SEGMENT_SHARE = 2
/** Every other bit that rots is in this end of its file: what is behind is read rarely after it was written, the end at every start. */
const END_BYTES = 2_048

/** Breaks what is durable on a machine, and knows what of it is still broken. */
export class Damager {
  private readonly machine: Machine
  private readonly random: Random
  /** Whether each thing that was damaged is still there as the damage left it. */
  private wounds: (() => boolean)[] = []

  constructor(machine: Machine, random: Random) {
    this.machine = machine
    this.random = random
  }

  get intact(): boolean {
    this.wounds = this.wounds.filter((open) => open())
    return this.wounds.length === 0
  }

  damage(kind: DamageKind): string | null {
    const stores = this.machine.names.raftStores().filter(({ raft }) => raft.written)
    const store = stores.length === 0 ? undefined : stores[this.random.below(stores.length)]
    if (kind === 'lost-vote') return store === undefined ? null : this.loseVote(store)
    const files = this.machine.names.allFiles().filter(({ content }) => content.bytesOnPlatter > 0)
    if (store !== undefined && (files.length === 0 || this.random.below(RAFT_SHARE) === 0))
      return this.damageStore(store, kind)
    const file = this.pick(files)
    if (file === undefined) return null
    if (kind === 'lost-file') return this.lose(file)
    return kind === 'bit-rot' ? this.rot(file) : this.misdirect(file, files[this.random.below(files.length)] as FileAt)
  }

  private pick(files: readonly FileAt[]): FileAt | undefined {
    const segments = files.filter(({ path }) => path.endsWith('.log'))
    const among = segments.length > 0 && this.random.below(SEGMENT_SHARE) === 0 ? segments : files
    return among.length === 0 ? undefined : among[this.random.below(among.length)]
  }

  private rot({ path, content }: FileAt): string {
    const { bytesOnPlatter } = content
    const end = this.random.below(2) === 0 ? Math.max(0, bytesOnPlatter - END_BYTES) : 0
    const at = end + this.random.below(bytesOnPlatter - end)
    const bit = this.random.below(8)
    this.corrupt({ path, content }, { at, bytes: 1 }, (bytes) => {
      bytes[0] = (bytes[0] as number) ^ (1 << bit)
    })
    return `bit rot in ${path} at byte ${at}`
  }

  /** What was written to one sector got to another one. Where it belongs there is what was there before it: nothing. */
  private misdirect(from: FileAt, to: FileAt): string {
    const { sectorBytes } = this.machine
    const source = sectorBytes * this.random.below(Math.ceil(from.content.bytesOnPlatter / sectorBytes))
    const target = sectorBytes * this.random.below(Math.ceil(to.content.bytesOnPlatter / sectorBytes))
    const sector = new Uint8Array(sectorBytes)
    from.content.readPlatter(source, sector)
    this.corrupt(from, { at: source, bytes: sectorBytes }, (bytes) => bytes.fill(0))
    this.corrupt(to, { at: target, bytes: sectorBytes }, (bytes) => bytes.set(sector))
    return `the sector of ${from.path} at byte ${source} was written to ${to.path} at byte ${target}`
  }

  private lose({ path, at, content }: FileAt): string {
    const { names } = this.machine
    names.drop(at)
    this.machine.unnamed([content])
    const folder = path.slice(0, path.lastIndexOf('/'))
    this.wounds.push(() => names.find(folder) === at.folder && !at.folder.entries.has(at.name))
    return `${path} is lost`
  }

  private corrupt(
    { path, content }: { path: string; content: FileContent },
    where: { at: number; bytes: number },
    change: (bytes: Uint8Array) => void,
  ): void {
    content.corrupt(where, change, this.random.below(2) === 0)
    this.wounds.push(() => this.machine.names.find(path) === content && content.isRotten(where.at))
  }

  private damageStore({ at, raft: store }: StoreAt, kind: DamageKind): string {
    const { firstIndex, lastIndex } = store
    if (kind === 'lost-file' && this.random.below(3) === 0) return this.loseStore(at, store)
    this.wounds.push(() => store.broken && !this.hasOther(store))
    if (kind === 'bit-rot' && lastIndex >= firstIndex) {
      const index = firstIndex + this.random.below(lastIndex - firstIndex + 1)
      store.rot(index)
      return `bit rot in entry ${index} of ${store.path}`
    }
    // A slot of quorum-state that was written into the log leaves the slot before it, with the vote before.
    const vote = kind === 'misdirected-write' && this.random.below(2) === 0 ? 'old' : 'kept'
    const reason =
      kind === 'lost-file' ? 'LevelDB cannot read the log: no MANIFEST' : 'the log is not as quorum-state says'
    store.spoil(reason, vote)
    return `${store.path}: ${reason}, its vote is ${vote}`
  }

  private loseStore(at: Place, store: DurableRaft): string {
    this.machine.names.drop(at)
    this.wounds.push(() => !this.hasOther(store))
    return `${store.path} is lost with all that is in it`
  }

  /** The node has begun another store since. */
  private hasOther(store: DurableRaft): boolean {
    return this.machine.names.raftStores().some(({ raft }) => raft !== store && raft.written && !raft.broken)
  }

  private loseVote({ raft: store }: StoreAt): string {
    const vote = this.random.below(2) === 0 ? 'old' : 'lost'
    this.wounds.push(() => store.broken && !this.hasOther(store))
    store.spoil('the log and quorum-state are corrupt', vote)
    return `${store.path}: the log is corrupt and the vote ${vote}`
  }
}
