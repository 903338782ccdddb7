import type { PlantedBug } from './bug.ts'
import { CONTROLLER_BUGS } from './controller-bugs.ts'
import { FETCH_SESSION_BUGS } from './fetch-session-bugs.ts'
import { GROUP_BUGS } from './group-bugs.ts'
import { PRODUCER_BUGS } from './producer-bugs.ts'
import { RAFT_BUGS } from './raft-bugs.ts'
import { REPLICATION_BUGS } from './replication-bugs.ts'
import { STORAGE_BUGS } from './storage-bugs.ts'

/** All that the simulator must find. */
export const PLANTED_BUGS: readonly PlantedBug[] = [
  ...RAFT_BUGS,
  ...REPLICATION_BUGS,
  ...CONTROLLER_BUGS,
  ...STORAGE_BUGS,
  ...PRODUCER_BUGS,
  ...GROUP_BUGS,
  ...FETCH_SESSION_BUGS,
]
