import { bug, type PlantedBug } from './bug.ts'

/** Groups: what their coordinators remember and tell. */
export const GROUP_BUGS: readonly PlantedBug[] = [
  bug('a new coordinator knows nothing of what its log holds', [
    'broker/src/groups/group-partition.ts',
    'replay: (key, value) => shard.replay(key, value),',
    'replay: () => {},',
  ]),
]
