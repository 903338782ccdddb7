import { BrokenInvariant } from '@millrace/base'
import type {
  Clock,
  Disk,
  FatalCode,
  Logger,
  Peers,
  RaftStoreFactory,
  ByteStreams,
  Random,
  World,
} from '@millrace/base'
import { SystemClock } from './clock.ts'
import { NodeCompute } from './compute.ts'
import { MemoryDisk } from './disk/memory-disk.ts'
import { MemoryLogger } from './memory-logger.ts'
import { DirectNetwork } from './peers/direct-network.ts'
import { MemoryRaftStores } from './raft-store/memory-raft-store.ts'
import { SeededRandom } from './random.ts'
import { TcpStreams } from './streams/tcp-streams.ts'
import { SystemTimers } from './timers.ts'

/** What a node in memory shares with others, or keeps over its restarts. What is absent is made afresh. */
export interface MemoryWorldOptions {
  /** The node's name on the network, and the seed of its chance together with `seed`. */
  readonly name: string
  readonly seed?: string
  /** Shared by the nodes that are to reach each other. */
  readonly network?: DirectNetwork
  /** Handed from one life of a node to the next. */
  readonly disk?: Disk
  readonly raftStore?: RaftStoreFactory
  readonly log?: Logger
  /** Where clients connect; real TCP when absent. */
  readonly streams?: ByteStreams
  readonly clock?: Clock
  readonly random?: Random
  /** Told when the node ends itself, before the call throws; a test takes the node down here. */
  readonly fatal?: (code: FatalCode, cause: unknown) => void
}

/** The outside world of a node that lives in this process with others: real time, direct links, disks in memory. */
export function memoryWorld(options: MemoryWorldOptions): World {
  const clock = options.clock ?? new SystemClock()
  const log = options.log ?? new MemoryLogger()
  return {
    clock,
    timers: new SystemTimers(clock),
    random: options.random ?? new SeededRandom(`${options.seed ?? 'millrace'}/${options.name}`),
    disk: options.disk ?? new MemoryDisk({ clock }),
    peers: peersOf(options),
    streams: options.streams ?? new TcpStreams(),
    raftStore: options.raftStore ?? new MemoryRaftStores(),
    compute: new NodeCompute(),
    log,
    fatal: (code, cause) => {
      log.error({ node: options.name, code, cause }, 'the node ends itself')
      options.fatal?.(code, cause)
      throw new BrokenInvariant(`node ${options.name} ended itself: ${code}: ${String(cause)}`)
    },
  }
}

function peersOf({ name, network }: MemoryWorldOptions): Peers {
  return (network ?? new DirectNetwork()).peers(name)
}
