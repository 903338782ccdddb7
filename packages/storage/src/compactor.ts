import type { IoError } from '@millrace/base'
import { filthiest } from './compaction-choice.ts'
import { CompactionPass, type Compacted } from './compaction-pass.ts'
import { CompactionTurns } from './compaction-turns.ts'
import type { LogServices } from './log-services.ts'
import type { SegmentedLog } from './partition-log.ts'
import { Rot } from './segment.ts'
import type { CompactionSettings } from './types.ts'

/** Compacts the logs of one directory, one at a time. */
export class Compactor {
  private readonly services: LogServices
  private readonly logs: () => Iterable<SegmentedLog>
  private turns: CompactionTurns | null = null
  /** A pass of these failed since `run` was called: the next call tries again. */
  private failed = new Set<SegmentedLog>()
  private ended = false
  private resting: (() => void) | null = null

  constructor(services: LogServices, logs: () => Iterable<SegmentedLog>) {
    this.services = services
    this.logs = logs
  }

  run(settings: CompactionSettings): void {
    if (this.turns !== null || this.ended) return
    this.failed = new Set()
    this.begin(settings)
  }

  /** No pass begins any more; `done` once none is under way, never within the call. */
  end(done: () => void): void {
    this.ended = true
    if (this.turns === null) return void this.services.world.timers.after(0, done)
    this.resting = done
    this.turns.end()
  }

  private begin(settings: CompactionSettings): void {
    const { world } = this.services
    const candidates = [...this.logs()].filter((log) => !this.failed.has(log))
    const plan = this.services.failed === null ? filthiest(candidates, world.clock.wallMs()) : null
    if (plan === null || this.ended) return this.rest()
    this.turns = new CompactionTurns(world, settings.bytesPerSecond)
    const beganUs = world.clock.monotonicUs()
    new CompactionPass(plan, this.turns, settings.keyMapBytes).run((error, did) => {
      const { folder, cleanedEnd } = plan.log
      if (error !== null) this.passFailed(plan.log, error)
      else world.log.info(fieldsOf(folder, cleanedEnd, did, world.clock.monotonicUs() - beganUs), 'log compacted')
      world.timers.after(0, () => this.begin(settings))
    })
  }

  private rest(): void {
    this.turns = null
    const done = this.resting
    this.resting = null
    done?.()
  }

  private passFailed(log: SegmentedLog, error: IoError): void {
    this.failed.add(log)
    // Of a log that was closed or removed meanwhile nothing is where it was.
    if (log.closed || error.code === 'ECLOSED') return
    if (error instanceof Rot) log.quarantine(error.message)
    else this.services.world.log.warn({ path: log.folder, error }, 'compaction failed')
  }
}

// oxlint-disable-next-line max-params -- the fields of one line.
function fieldsOf(path: string, cleanedEnd: number, did: Compacted, us: number): Record<string, unknown> {
  return { path, cleanedEnd, ...did, ms: Math.round(us / 1000) }
}
