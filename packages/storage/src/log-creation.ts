import { replaceSmallFile, type Done } from '@millrace/base'
import { encodePartitionMetadata } from './checkpoint-text.ts'
import { EpochHistory } from './epoch-history.ts'
import { folderName, PARTITION_METADATA, segmentFileName } from './file-names.ts'
import { inOrder } from './flow.ts'
import type { FolderSync } from './folder-sync.ts'
import { journalKey } from './journal-format.ts'
import type { LogServices } from './log-services.ts'
import { SegmentedLog } from './partition-log.ts'
import { ProducerSnapshots } from './producer-snapshots.ts'
import { Segment } from './segment.ts'
import type { BatchObserver, CreateLog } from './types.ts'

/** The directory in which a log is made. */
export interface CreationServices extends LogServices {
  readonly path: string
  /** Makes what keeps up with the log's batches; null where nobody wants that. */
  readonly observe: (() => BatchObserver) | null
}

/** Makes a log's folder with its first segment and its metadata, all of it on disk when `done` is called. `names` are the directory's. */
// oxlint-disable-next-line max-params -- where, what, and who hears of it.
export function createLog(
  services: CreationServices,
  names: FolderSync,
  request: CreateLog,
  done: Done<SegmentedLog>,
): void {
  const { topic, topicId, partition, startOffset } = request
  const { journal, files, world } = services
  const folder = `${services.path}/${folderName(topic, partition)}`
  const segment = Segment.empty(folder, startOffset, world.clock.wallMs())
  segment.writable = true
  const makeSegment = (ended: Done<void>): void =>
    world.disk.open(`${folder}/${segmentFileName(startOffset, 'log')}`, 'create', (error, file) => {
      if (error === null) files.keep(segment, file)
      ended(error)
    })
  const steps = [
    // First, or what the journal has of an earlier log of the same partition would come back into this one.
    (ended: Done<void>) =>
      journal === null ? ended(null) : journal.begins(journalKey(topicId, partition), startOffset, ended),
    (ended: Done<void>) => world.disk.mkdir(folder, ended),
    makeSegment,
    // Syncs the folder too, and so the segment's name.
    replaceSmallFile(world.disk, folder, PARTITION_METADATA, encodePartitionMetadata(topicId)),
    (ended: Done<void>) => names.sync(ended),
  ]
  inOrder(steps, (error) => {
    if (error === null) return done(null, newLog(services, request, segment))
    files.close(segment)
    done(error, null as unknown as SegmentedLog)
  })
}

function newLog(services: CreationServices, request: CreateLog, segment: Segment): SegmentedLog {
  const { topic, topicId, partition, startOffset, config, events } = request
  const state = {
    topic,
    topicId,
    partition,
    folder: segment.folder,
    segments: [segment],
    epochs: new EpochHistory(),
    logStart: startOffset,
    endOffset: startOffset,
    durableEnd: startOffset,
    highWatermark: startOffset,
    quarantined: null,
  }
  const log = new SegmentedLog(services, state, config)
  log.attach(events)
  if (services.observe !== null) log.snapshots = new ProducerSnapshots(log, services.observe())
  return log
}
