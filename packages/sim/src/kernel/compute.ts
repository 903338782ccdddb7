import { IoError } from '@millrace/base'
import type { Codec, Compute, Done, Random } from '@millrace/base'
import { inflate, InvalidBatch } from '@millrace/records'
import type { Life, Schedule } from '../seams.ts'

const NOTHING = new Uint8Array(0)

/** The real codecs, at once; their answer takes its time, as that of a thread does. */
export class SimCompute implements Compute {
  private readonly schedule: Schedule
  private readonly life: Life
  private readonly random: Random

  constructor(schedule: Schedule, life: Life, random: Random) {
    this.schedule = schedule
    this.life = life
    this.random = random
  }

  /** The bytes are read at the end of the time, so whoever changes them meanwhile is found out. */
  inflate(codec: Codec, bytes: Uint8Array, limit: number, done: Done<Uint8Array>): void {
    this.schedule.post(5 + this.random.below(200) + bytes.length / 50, this.life, () => {
      let inflated: Uint8Array
      try {
        inflated = inflate(codec, bytes, limit)
        if (inflated.length > limit) throw new InvalidBatch(10, `more than ${limit} bytes`)
      } catch (error) {
        return done(new IoError('EIO', codec, error instanceof Error ? error.message : String(error), error), NOTHING)
      }
      done(null, inflated)
    })
  }
}
