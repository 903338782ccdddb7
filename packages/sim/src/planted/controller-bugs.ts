import { bug, type PlantedBug } from './bug.ts'

/** The controller's decisions. */
export const CONTROLLER_BUGS: readonly PlantedBug[] = [
  bug('any replica that is alive may lead', [
    'metadata/src/partition-change.ts',
    'const heir = complete.find(alive)',
    'const heir = partition.replicas.find(alive)',
  ]),
  bug('a new leader gets the epoch of the old one', [
    'metadata/src/partition-change.ts',
    'partition.leaderEpoch + (moved || outcome.unclean ? 1 : 0)',
    'partition.leaderEpoch + (outcome.unclean ? 1 : 0)',
  ]),
  bug('a fenced broker stays in sync', [
    'metadata/src/partition-change.ts',
    'const isr = (wish.isr ?? partition.isr).filter(alive)',
    'const isr = wish.isr ?? partition.isr',
  ]),
  bug(
    'a change of the in-sync set may name an older state',
    [
      'metadata/src/replicas.ts',
      'if (item.leaderEpoch < partition.leaderEpoch) return ErrorCode.FENCED_LEADER_EPOCH\n  if (partition.leader !== sender) return ErrorCode.INVALID_REQUEST',
      '',
    ],
    [
      'metadata/src/replicas.ts',
      'if (item.partitionEpoch < partition.partitionEpoch) return ErrorCode.INVALID_UPDATE_VERSION',
      '',
    ],
  ),
  bug('a new incarnation keeps the leaderships of the old one', [
    'metadata/src/brokers.ts',
    'const records = [registration(request), ...departures(context, request, old)]',
    'const records = old === undefined ? [registration(request), ...departures(context, request, old)] : [registration(request)]',
  ]),
  bug('replicas that left below the minimum are forgotten', [
    'metadata/src/partition-change.ts',
    'return isr.length >= enough ? [] : complete.filter((broker) => !isr.includes(broker))',
    'return isr.length >= enough ? [] : []',
  ]),
  bug('the in-sync set takes any incarnation of a broker', [
    'metadata/src/replicas.ts',
    'return deciding.broker(brokerId)?.epoch === brokerEpoch && deciding.eligible(brokerId, directory)',
    'return brokerEpoch >= -1 && deciding.eligible(brokerId, directory)',
  ]),
  bug('a fenced broker is elected', [
    'metadata/src/partition-change.ts',
    'const heir = complete.find(alive)',
    'const heir = complete[0]',
  ]),
  bug('a replica in doubt stays in the ISR', [
    'metadata/src/replicas.ts',
    'isr: partition.isr.filter((member) => member !== brokerId),\n    untrusted: itself,\n    damaged: itself,',
    '',
  ]),
  bug('a broker that lost its directory stays eligible', [
    'metadata/src/brokers.ts',
    'return forgot || lost ? { untrusted: itself } : {}',
    'return forgot && lost ? { untrusted: itself } : {}',
  ]),
  bug('an emptied replica begins the partition again', [
    'metadata/src/partition-change.ts',
    'const unwritten = directories.every((one) => one === UNASSIGNED)',
    'const unwritten = directories.some((one) => one === UNASSIGNED)',
  ]),
]
