import { bug, type PlantedBug } from './bug.ts'

/** Logs on disk. */
export const STORAGE_BUGS: readonly PlantedBug[] = [
  bug('a small file counts as named before its folder is synced', [
    'base/src/small-file.ts',
    'disk.syncDir(parentOf(path), done)',
    'done(null)',
  ]),
  bug('the checkpoint promises what is not on disk', [
    'storage/src/directory-checkpoints.ts',
    'clean ? log.endOffset : log.recoveryPoint',
    'log.endOffset',
  ]),
  bug('an append counts as durable before its write of the journal has ended', [
    'storage/src/log-writer.ts',
    'log.services.journal?.appended(log, from, batches, copy)',
    'log.services.journal?.appended(log, from, batches, copy)\n    log.services.world.timers.endOfTurn(() => log.becameDurable(log.endOffset))',
  ]),
  bug('a file of the journal is used again before a checkpoint', [
    'storage/src/journal-files.ts',
    'while ((this.full[0]?.last ?? firstNeeded) < firstNeeded) {',
    'while (this.full.length > 0) {',
  ]),
  bug('a replay of the journal ignores truncations', [
    'storage/src/journal-changes.ts',
    "else this.truncate(entry.from, entry.op === 'lower')",
    '',
  ]),
  bug('a torn tail is taken without a look at its CRC', [
    'storage/src/log-recovery.ts',
    'checkCrc: true',
    'checkCrc: false',
  ]),
  bug('a failed sync of a segment counts as done', [
    'storage/src/log-sync.ts',
    'if (error !== null || segment.removed) return done(segment.removed ? null : error)',
    'if (error !== null || segment.removed) return done(null)',
  ]),
  bug('what can be read after a failed sync counts as synced', [
    'storage/src/log-recovery.ts',
    "if (unsynced === null || flushMode !== 'fsync') return done(null)",
    'if (unsynced === null || flushMode.length > 0) return done(null)',
  ]),
  bug('the mark of a clean stop outlives the start', [
    'storage/src/directory-opening.ts',
    'if (!this.clean) return done(null)\n    const { disk }',
    'if (this.clean || !this.clean) return done(null)\n    const { disk }',
  ]),
]
