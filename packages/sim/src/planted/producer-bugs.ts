import { bug, type PlantedBug } from './bug.ts'

/** Idempotent producers: what replicas know of them. */
export const PRODUCER_BUGS: readonly PlantedBug[] = [
  bug('a repeated batch is written again', [
    'transactions/src/verdict.ts',
    'if (slot >= 0) return repetition(rows, row, slot)',
    'if (slot >= 0) return ACCEPTED',
  ]),
  bug('a repeated batch is answered with the offset of its end', [
    'transactions/src/verdict.ts',
    'baseOffset: lastOffset - rows.deltaAt(row, slot)',
    'baseOffset: lastOffset',
  ]),
  bug('only leaders keep what they know of producers', [
    'transactions/src/producer-states.ts',
    'if (!isKnowable(batch)) return\n',
    'if (!isKnowable(batch) || this.staged === 0) return\n',
  ]),
  bug('producers are forgotten at a restart', [
    'broker/src/replica-producers.ts',
    'replay(bytes: Uint8Array, at: number): void {\n    if (',
    'replay(bytes: Uint8Array, at: number): void {\n    if (at < 0 && ',
  ]),
  bug('a snapshot of producers is not loaded', [
    'broker/src/replica-producers.ts',
    'if (snapshot === null) return true',
    'if (snapshot === null || snapshot.length > 0) return true',
  ]),
  bug('a cut of the log leaves its producers as they were', [
    'transactions/src/producer-states.ts',
    'this.undoLog.undo(endOffset, (rows, row) => this.restore(rows, row))\n',
    '',
  ]),
  bug('a repeated batch is acknowledged before it is committed', [
    'broker/src/replica.ts',
    'if (acks === 1) return answers.add({ answer, error: ErrorCode.NONE, baseOffset, logStart, logAppendTimeMs })',
    'return answers.add({ answer, error: ErrorCode.NONE, baseOffset, logStart, logAppendTimeMs })',
  ]),
  bug('two brokers get the same producer ids', [
    'metadata/src/machine.ts',
    'const nextProducerId = first + PRODUCER_ID_BLOCK',
    'const nextProducerId = first',
  ]),
]
