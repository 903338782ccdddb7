import { bug, type PlantedBug } from './bug.ts'

/** Groups: what their coordinators remember and tell. */
export const GROUP_BUGS: readonly PlantedBug[] = [
  bug('a new coordinator knows nothing of what its log holds', [
    'broker/src/groups/group-partition.ts',
    'replay: (key, value) => shard.replay(key, value),',
    'replay: () => {},',
  ]),
  bug('a new coordinator reads its log up to the watermark that it knows', [
    'broker/src/groups/log-replay.ts',
    'if (this.next >= log.endOffset) return this.finish(null)',
    'if (this.next >= this.parts.replica.machine.highWatermark) return this.finish(null)',
  ]),
  bug('what is committed of one partition is told of another', [
    'groups/src/offsets/requests.ts',
    '?.get(name, partition) ?? NOTHING',
    '?.get(name, 0) ?? NOTHING',
  ]),
  bug('a classic member that is gone commits', [
    'groups/src/classic/commits.ts',
    'if (error !== ErrorCode.NONE || member === null) return error',
    'if (error !== ErrorCode.NONE || member === null) return ErrorCode.NONE',
  ]),
  bug('two generations have one number', ['groups/src/classic/group.ts', 'this.generation++', 'this.generation ||= 1']),
]
