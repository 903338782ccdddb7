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
    'const anew = moved || outcome.unclean ||',
    'const anew = outcome.unclean ||',
  ]),
  bug('a fenced broker stays in sync', [
    'metadata/src/partition-change.ts',
    'const isr = (wish.isr ?? partition.isr).filter(alive)',
    'const isr = wish.isr ?? partition.isr',
  ]),
  bug('a new incarnation keeps the leaderships of the old one', [
    'metadata/src/brokers.ts',
    'const records = [registration(request), ...departures(context, request, old)]',
    'const records = old === undefined ? [registration(request), ...departures(context, request, old)] : [registration(request)]',
  ]),
  bug('replicas that left below the minimum are forgotten', [
    'metadata/src/partition-change.ts',
    '? [] : complete.filter((broker) => !isr.includes(broker))',
    '? [] : []',
  ]),
  bug('a fenced broker is elected', [
    'metadata/src/partition-change.ts',
    'const heir = complete.find(alive)',
    'const heir = complete[0]',
  ]),
]
