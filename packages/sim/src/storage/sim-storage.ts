import { assert } from '@millrace/base'
import type { Disk, IoErrorCode, RaftStoreFactory, Random } from '@millrace/base'
import type { DiskFaults, FaultAtlas, Life, RaftMirror, Schedule, SimStorage } from '../seams.ts'
import { Damager, type DamageKind } from './damage.ts'
import { FileContent } from './file-content.ts'
import { Machine, type Operation } from './machine.ts'
import { SimDisk } from './sim-disk.ts'
import { SimRaftStores } from './sim-raft-store.ts'

const CAPACITY_BYTES = 2 ** 38
/** When the time of a run begins, in milliseconds since 1970. */
const BEGIN_MS = 1_700_000_000_000

export interface SimStorageOptions {
  readonly schedule: Schedule
  /** For this storage alone. */
  readonly random: Random
  /** The node that the atlas is asked about. */
  readonly node: number
  readonly faults: DiskFaults
  readonly atlas: FaultAtlas
  /** What fits on the disk; much, unless told. */
  readonly capacityBytes?: number
  /** The machine's wall clock, for the times of files; virtual time when left out. */
  readonly wallMs?: () => number
}

/** The disk and the Raft stores of one machine, which outlive its processes. */
export function createSimStorage(options: SimStorageOptions): SimStorage {
  return new MachineStorage(options)
}

class MachineStorage implements SimStorage {
  private readonly machine: Machine
  private damager: Damager
  private readonly random: Random

  constructor(options: SimStorageOptions) {
    const { schedule, random, node, atlas, faults } = options
    this.random = random
    this.machine = new Machine(
      {
        schedule,
        random,
        node,
        atlas,
        capacityBytes: options.capacityBytes ?? CAPACITY_BYTES,
        wallMs: options.wallMs ?? (() => BEGIN_MS + Math.floor(schedule.nowUs / 1000)),
      },
      faults,
    )
    this.damager = this.newDamager()
  }

  get faults(): DiskFaults {
    return this.machine.faults
  }

  set faults(faults: DiskFaults) {
    this.machine.faults = faults
  }

  get intact(): boolean {
    return this.damager.intact
  }

  get raftMirrors(): readonly RaftMirror[] {
    const stores = this.machine.names.raftStores().filter(({ raft }) => raft.opening > 0)
    const [last] = stores.sort((a, b) => b.raft.opening - a.raft.opening)
    return last === undefined ? [] : [last.raft]
  }

  disk(life: Life): Disk {
    return new SimDisk(this.machine, life)
  }

  raftStores(life: Life): RaftStoreFactory {
    return new SimRaftStores(this.machine, life)
  }

  killed(): void {
    this.checkIdle()
    this.machine.schedule.note('killed', this.machine.node)
  }

  powerCut(): void {
    this.checkIdle()
    this.machine.schedule.note('power cut', this.machine.node)
    this.machine.powerCut()
  }

  wipe(): void {
    this.checkIdle()
    this.machine.schedule.note('wiped', this.machine.node)
    this.machine.wipe()
    this.damager = this.newDamager()
    this.machine.atlas.wiped(this.machine.node)
  }

  damage(kind: DamageKind): string | null {
    const { atlas, node, schedule } = this.machine
    if (!atlas.mayDamage(node)) return null
    const what = this.damager.damage(kind)
    if (what === null) return null
    schedule.note(what)
    atlas.damaged(node)
    return what
  }

  peek(path: string, at: number, into: Uint8Array): number {
    const found = this.machine.names.find(path)
    return found instanceof FileContent ? found.read(at, into) : -1
  }

  failNext(operation: Operation, code: IoErrorCode, within = ''): void {
    this.machine.order(operation, code, within)
  }

  private newDamager(): Damager {
    return new Damager(this.machine, this.random.fork('damage'))
  }

  private checkIdle(): void {
    assert(this.machine.idle, 'a process still runs on this machine')
  }
}
