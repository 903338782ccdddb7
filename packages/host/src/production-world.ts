import { SteadyLog } from '@millrace/base'
import type { Clock, FatalCode, Logger, World } from '@millrace/base'
import { SystemClock } from './clock.ts'
import { NodeCompute } from './compute.ts'
import { NodeDisk } from './disk/node-disk.ts'
import { processLogger } from './logger.ts'
import type { LoggerOptions } from './logger.ts'
import { GrpcPeers } from './peers/grpc-peers.ts'
import { LevelStoreFactory } from './raft-store/level-store-factory.ts'
import { CryptoRandom } from './random.ts'
import { TcpStreams } from './streams/tcp-streams.ts'
import type { TcpOptions } from './streams/tcp-streams.ts'
import { SystemTimers } from './timers.ts'

/** The exit code of a node that ended itself, by the reason. */
export const FATAL_EXIT_CODES: Readonly<Record<FatalCode, number>> = {
  'broken-invariant': 70,
  'disk-failed': 74,
  'store-failed': 75,
}

/** What differs between processes. */
export interface ProductionOptions {
  readonly logger?: LoggerOptions
  /** Named in the lines of the raft store and in the last line of all; `startNode` adds it to those of the node itself. */
  readonly node?: number
  readonly tcp?: TcpOptions
  /** Ends the process; `process.exit` when absent. It must not return. */
  readonly exit?: (code: number) => never
}

/** The outside world of a process of its own: the machine's files, sockets, clocks and chance. */
export function productionWorld(options: ProductionOptions = {}): World {
  const clock = new SystemClock()
  const timers = new SystemTimers(clock)
  const log = processLogger(options.logger)
  const own = options.node === undefined ? log : log.child({ node: options.node })
  return {
    clock,
    timers,
    random: new CryptoRandom(),
    disk: new NodeDisk(),
    peers: new GrpcPeers(new SteadyLog(own, clock)),
    streams: new TcpStreams(options.tcp),
    raftStore: new LevelStoreFactory({ timers, log: own }),
    compute: new NodeCompute(),
    log,
    fatal: fatalExit(clock, own, options.exit ?? process.exit),
  }
}

/** Logs why a node ends, and ends it. The exit code tells a supervisor the kind of reason. */
export function fatalExit(clock: Clock, log: Logger, exit: (code: number) => never): World['fatal'] {
  return (code, cause) => {
    log.error({ code, cause, upUs: clock.monotonicUs() }, 'the node ends itself')
    return exit(FATAL_EXIT_CODES[code])
  }
}
