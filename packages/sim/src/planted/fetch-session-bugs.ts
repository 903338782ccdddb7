import { bug, type PlantedBug } from './bug.ts'

/** Fetch sessions: what a broker remembers of a consumer's partitions, and tells of them. */
export const FETCH_SESSION_BUGS: readonly PlantedBug[] = [
  bug('a partition with new records is left out of an incremental answer', [
    'broker/src/kafka/fetch-session.ts',
    'this.bytes > 0 ||\n',
    '',
  ]),
  bug('a fetch session goes on under an epoch that is not its next', [
    'broker/src/kafka/fetch-context.ts',
    'if (session.epoch !== sessionEpoch) return ErrorCode.INVALID_FETCH_SESSION_EPOCH\n',
    '',
  ]),
  bug('a fetch session reads on where it began', [
    'broker/src/kafka/fetch-session.ts',
    'known.ask(one)\n          continue',
    'continue',
  ]),
  bug('a fetch session forgets no partition', [
    'broker/src/kafka/fetch-session.ts',
    'for (const asked of forgotten) this.forget(asked, gone)\n',
    '',
  ]),
]
