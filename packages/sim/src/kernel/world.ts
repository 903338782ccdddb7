import type { FatalCode, Logger, Random, World } from '@millrace/base'
import type { Life, Network, Schedule, SimStorage } from '../seams.ts'
import type { SimClock } from './clock.ts'
import { SimCompute } from './compute.ts'
import { LifeEnded } from './life.ts'
import { SimTimers } from './timers.ts'

/** What one incarnation of a node lives on. */
export interface SimWorldParts {
  readonly schedule: Schedule
  readonly life: Life
  /** The machine's name on the network. */
  readonly host: string
  readonly clock: SimClock
  /** A source of its own: a draw of one incarnation changes nothing for another. */
  readonly random: Random
  readonly storage: SimStorage
  readonly network: Network
  readonly log: Logger
  /** Told when the node ends itself, while its life lasts still; the life is ended when this returns. */
  readonly fatal?: (code: FatalCode, cause: unknown) => void
}

/** The outside world of one incarnation. Nothing that was begun in it completes once its life is over. */
export function simWorld(parts: SimWorldParts): World {
  const { schedule, life, host, storage, network, random, log } = parts
  const clock = parts.clock.ofProcess()
  return {
    clock,
    timers: new SimTimers(schedule, life, clock, random.fork('timers')),
    random: random.fork('node'),
    disk: storage.disk(life),
    peers: network.peers(host, life),
    streams: network.streams(host, life),
    raftStore: storage.raftStores(life),
    compute: new SimCompute(schedule, life, random.fork('compute')),
    log,
    fatal: (code, cause) => {
      log.error({ code, cause }, 'the node ends itself')
      if (!life.over) parts.fatal?.(code, cause)
      schedule.end(life)
      throw new LifeEnded(life, cause)
    },
  }
}
