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
  bug('the journal is not replayed after a crash', [
    'storage/src/directory-opening.ts',
    'this.journal = found\n',
    'this.journal = null\n',
  ]),
  bug('a journal counts the groups of the one before', ['storage/src/journal.ts', 'world.random.fill(this.life)', '']),
]
