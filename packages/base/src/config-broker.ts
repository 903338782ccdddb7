import type { ConfigKey } from './config.ts'
import { INERT_BROKER_KEYS } from './config-inert.ts'
import { TOPIC_KEYS } from './config-topic.ts'
import { boolean, double, int, list, listOf, long, oneOf, ruleOfType, short, text } from './config-values.ts'
import type { ValueRule } from './config-values.ts'

type Declared = readonly [rule: ValueRule, fallback: string | null, documentation: string, dynamic?: 'dynamic']

/** Keys of the broker itself, as opposed to defaults of topics. */
const OWN: Readonly<Record<string, Declared>> = {
  'advertised.listeners': [
    list,
    null,
    'What clients are told to connect to, NAME://host:port for each listener. Without it: the listeners themselves.',
  ],
  'auto.create.topics.enable': [boolean, 'true', 'Whether asking for an unknown topic creates it.'],
  'auto.leader.rebalance.enable': [
    boolean,
    'true',
    'Whether leaderships move back to the first replica of each partition once it is in sync again.',
  ],
  'broker.heartbeat.interval.ms': [
    int({ min: 1 }),
    '2000',
    'How often a broker tells the controller that it is alive.',
  ],
  'broker.id': [int({ min: -1 }), '-1', 'The old name of node.id.'],
  'broker.rack': [
    text,
    null,
    'Where the node stands. Replicas of a partition avoid sharing a rack; give the nodes of one machine the same.',
  ],
  'broker.session.timeout.ms': [
    int({ min: 1 }),
    '9000',
    'How long a silent broker keeps its leaderships. One whose process is gone loses them at once.',
  ],
  'connections.max.idle.ms': [long(), '600000', 'A client connection idle for this long is closed; below 0 never.'],
  'controlled.shutdown.enable': [boolean, 'true', 'Whether a stopping broker first hands over its leaderships.'],
  'controlled.shutdown.timeout.ms': [
    int({ min: 0 }),
    '30000',
    'How long a stopping broker waits for its leaderships to move before it stops all the same.',
  ],
  'controller.listener.names': [list, null, 'The listeners, of those in listeners, that other nodes connect to.'],
  'controller.quorum.election.timeout.ms': [
    int({ min: 1 }),
    '1000',
    'How long a controller without word of the leader waits before it asks for an election.',
  ],
  'controller.quorum.voters': [
    list,
    '',
    'The nodes that may lead the controller quorum: id@host:port, with commas between.',
  ],
  'default.replication.factor': [int({ min: 1 }), '1', 'Replicas of a topic whose creator names no number.'],
  'delete.topic.enable': [boolean, 'true', 'Whether topics can be deleted.'],
  'fetch.max.bytes': [
    int({ min: 1024 }),
    '57671680',
    'The most that one fetch is answered with, whatever it asks for.',
  ],
  'flush.mode': [
    oneOf('fsync', 'pagecache'),
    'fsync',
    'fsync: acks=all is answered once the records are on the disk of every in-sync replica. pagecache: once they are in its memory.',
  ],
  'follower.replication.throttled.rate': [
    long({ min: 0 }),
    '9223372036854775807',
    'How many bytes in a second a broker is sent while it catches up, of replicas in follower.replication.throttled.replicas. Set while it runs.',
    'dynamic',
  ],
  'group.consumer.assignment.interval.ms': [
    int({ min: 0 }),
    '1000',
    'The least time between two assignments of a consumer group (the newer protocol): members that join together are assigned together.',
  ],
  'group.consumer.assignors': [
    listOf('uniform', 'range'),
    'uniform,range',
    'How partitions are dealt out to the members of consumer groups (the newer protocol); the first is the default.',
  ],
  'group.consumer.heartbeat.interval.ms': [
    int({ min: 1 }),
    '3000',
    'How often the members of consumer groups (the newer protocol) are told to send a heartbeat.',
  ],
  'group.consumer.max.assignment.interval.ms': [
    int({ min: 0 }),
    '15000',
    'The most that consumer.assignment.interval.ms of a group may be.',
  ],
  'group.consumer.max.heartbeat.interval.ms': [
    int({ min: 1 }),
    '15000',
    'The most that consumer.heartbeat.interval.ms of a group may be.',
  ],
  'group.consumer.max.session.timeout.ms': [
    int({ min: 1 }),
    '60000',
    'The most that consumer.session.timeout.ms of a group may be.',
  ],
  'group.consumer.max.size': [
    int({ min: 1 }),
    '2147483647',
    'The most members of a consumer group (the newer protocol).',
  ],
  'group.consumer.migration.policy': [
    oneOf('bidirectional', 'upgrade', 'downgrade', 'disabled'),
    'bidirectional',
    'Whether a group with members of one protocol takes in those of the other: upgrade lets a member of the newer protocol make a classic group one of its own, downgrade makes the group classic again when the last such member is gone. disabled also keeps classic members out of groups of the newer protocol.',
  ],
  'group.consumer.min.assignment.interval.ms': [
    int({ min: 0 }),
    '0',
    'The least that consumer.assignment.interval.ms of a group may be.',
  ],
  'group.consumer.min.heartbeat.interval.ms': [
    int({ min: 1 }),
    '3000',
    'The least that consumer.heartbeat.interval.ms of a group may be.',
  ],
  'group.consumer.min.session.timeout.ms': [
    int({ min: 1 }),
    '45000',
    'The least that consumer.session.timeout.ms of a group may be.',
  ],
  'group.consumer.session.timeout.ms': [
    int({ min: 1 }),
    '45000',
    'A member of a consumer group (the newer protocol) that is silent for this long loses its partitions.',
  ],
  'group.initial.rebalance.delay.ms': [
    int({ min: 0 }),
    '3000',
    'How long the first rebalance of an empty group waits for more members.',
  ],
  'group.lag.interval.ms': [
    int({ min: 0 }),
    '10000',
    'How often a coordinator looks how far its groups are behind; 0 never.',
  ],
  'group.max.session.timeout.ms': [
    int({ min: 1 }),
    '1800000',
    'The longest session timeout that a member of a group may ask for.',
  ],
  'group.max.size': [int({ min: 1 }), '2147483647', 'The most members of a group.'],
  'group.min.session.timeout.ms': [
    int({ min: 1 }),
    '6000',
    'The shortest session timeout that a member of a group may ask for.',
  ],
  'http.listener': [
    text,
    null,
    'Where this node serves /metrics and /groups over HTTP, host:port; nowhere without it. There is no access control: bind it where only operators reach it.',
  ],
  'inter.broker.listener.name': [text, null, 'The client listener that tools on this cluster use first.'],
  'journal.file.bytes': [
    int({ min: 4096 }),
    '33554432',
    'A file of the journal is full at this size, and used again once the segments that it is about are on disk.',
  ],
  'leader.imbalance.check.interval.seconds': [
    long({ min: 1 }),
    '300',
    'How often the controller looks for leaderships to move back to the first replica.',
  ],
  'leader.replication.throttled.rate': [
    long({ min: 0 }),
    '9223372036854775807',
    'How many bytes in a second a broker sends to followers that catch up, of replicas in leader.replication.throttled.replicas. Set while it runs.',
    'dynamic',
  ],
  'listener.security.protocol.map': [
    text,
    'SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT',
    'The security protocol of each listener name.',
  ],
  listeners: [list, 'PLAINTEXT://:9092', 'Where the node listens, NAME://host:port with commas between.'],
  'log.cleaner.backoff.ms': [long({ min: 0 }), '15000', 'How often logs to compact are looked for.', 'dynamic'],
  'log.cleaner.dedupe.buffer.size': [
    long({ min: 65536 }),
    '134217728',
    'The most memory for the keys of a log while it is compacted; one log of a directory is at a time.',
    'dynamic',
  ],
  'log.cleaner.enable': [boolean, 'true', 'Whether compacted topics are compacted at all.'],
  'log.cleaner.io.max.bytes.per.second': [
    double({ min: 0 }),
    '1.7976931348623157E308',
    'How much compaction reads and writes in a second at most, for each log directory.',
    'dynamic',
  ],
  'log.dir': [list, '/tmp/millrace', 'The folder of the partition logs, when log.dirs is not given.'],
  'log.dirs': [list, null, 'The folders of the partition logs, with commas between.'],
  'log.retention.check.interval.ms': [long({ min: 1 }), '300000', 'How often old segments are looked for.'],
  'max.incremental.fetch.session.cache.slots': [
    int({ min: 0 }),
    '1000',
    'The most fetch sessions that are kept for clients; who gets none names all partitions in each fetch.',
  ],
  'metadata.log.dir': [text, null, 'The folder of the controller log. Without it: the first of the log folders.'],
  'metadata.log.max.record.bytes.between.snapshots': [
    long({ min: 1 }),
    '20971520',
    'A snapshot of the metadata is taken once this many bytes of its log have been written since the last.',
  ],
  'node.id': [int({ min: 0 }), null, 'The number of this node, unique in the cluster.'],
  'num.partitions': [int({ min: 1 }), '1', 'Partitions of a topic whose creator names no number.'],
  'offset.metadata.max.bytes': [int({ min: 0 }), '4096', 'The longest note that may go with a committed offset.'],
  'offsets.commit.timeout.ms': [
    int({ min: 1 }),
    '5000',
    'How long members wait for what their group decided to be on all in-sync replicas.',
  ],
  'offsets.retention.check.interval.ms': [long({ min: 1 }), '600000', 'How often expired offsets are looked for.'],
  'offsets.retention.minutes': [int({ min: 1 }), '10080', 'How long committed offsets are kept once nobody uses them.'],
  'offsets.topic.num.partitions': [
    int({ min: 1 }),
    '50',
    'Partitions of __consumer_offsets. Groups are spread over them, so it must stay as it is once there are groups.',
  ],
  'offsets.topic.replication.factor': [
    short({ min: 1 }),
    '3',
    'Replicas of __consumer_offsets; fewer while there are fewer brokers when it is made.',
  ],
  'offsets.topic.segment.bytes': [
    int({ min: 14 }),
    '104857600',
    'The size of segments of __consumer_offsets: small, so that it is compacted soon and loaded fast.',
  ],
  'peer.listener.name': [
    text,
    null,
    'The listener, of those in listeners, that other nodes connect to. Without it: the first controller listener.',
  ],
  'process.roles': [listOf('broker', 'controller'), null, 'What this node is: broker, controller, or both.'],
  'producer.id.expiration.ms': [
    int({ min: 1 }),
    '86400000',
    'How long a partition remembers an idempotent producer that writes nothing.',
    'dynamic',
  ],
  'replica.high.watermark.checkpoint.interval.ms': [long({ min: 1 }), '5000', 'How often high watermarks are saved.'],
  'replica.lag.time.max.ms': [
    long({ min: 1 }),
    '30000',
    'A follower that has not caught up for this long leaves the in-sync replicas.',
  ],
  'replica.selector.class': [
    oneOf('org.apache.kafka.common.replica.LeaderSelector', 'org.apache.kafka.common.replica.RackAwareReplicaSelector'),
    null,
    'Who serves consumers. With RackAwareReplicaSelector, a consumer with client.rack reads from an in-sync replica whose broker.rack is the same.',
  ],
  'socket.request.max.bytes': [int({ min: 1 }), '104857600', 'The largest request that a client may send.'],
}

/** Defaults of topic keys whose broker key says it in another unit, so the topic's rule does not fit. */
const UNITS: Readonly<Record<string, readonly [rule: ValueRule, fallback: string | null]>> = {
  'log.flush.interval.ms': [long(), null],
  'log.retention.hours': [int(), '168'],
  'log.retention.minutes': [int(), null],
  'log.retention.ms': [long(), null],
  'log.roll.hours': [int({ min: 1 }), '168'],
  'log.roll.jitter.hours': [int({ min: 0 }), '0'],
  'log.roll.jitter.ms': [long(), null],
  'log.roll.ms': [long(), null],
}

/** Broker keys that may not change while the broker runs although the topic keys that they stand in for may. */
const FIXED = new Set([
  'log.flush.scheduler.interval.ms',
  'log.retention.hours',
  'log.retention.minutes',
  'log.roll.hours',
  'log.roll.jitter.hours',
])

/** Every key of server.properties that is known, by name. Unknown ones are accepted too, without effect. */
export const BROKER_KEYS: ReadonlyMap<string, ConfigKey> = new Map(
  [...ownKeys(), ...topicDefaults(), ...inertKeys()]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((key) => [key.name, key]),
)

function ownKeys(): readonly ConfigKey[] {
  return Object.entries(OWN).map(([name, [rule, fallback, documentation, dynamic]]) => ({
    ...brokerKey(name, rule, fallback),
    documentation,
    dynamic: dynamic === 'dynamic',
  }))
}

function topicDefaults(): readonly ConfigKey[] {
  const keys: ConfigKey[] = []
  for (const topicKey of TOPIC_KEYS.values())
    for (const { name } of topicKey.brokerKeys) {
      const [rule, fallback] = UNITS[name] ?? [topicKey, topicKey.default]
      keys.push({
        ...brokerKey(name, rule, fallback),
        documentation: `The default of the topic setting ${topicKey.name}. ${topicKey.documentation}`,
        effect: topicKey.effect,
        dynamic: !FIXED.has(name),
      })
    }
  return keys
}

function inertKeys(): readonly ConfigKey[] {
  return INERT_BROKER_KEYS.map(([name, type, fallback, dynamic]) => ({
    ...brokerKey(name, ruleOfType(type), fallback),
    documentation: 'Known to Kafka and accepted; without effect here.',
    effect: 'none',
    dynamic: dynamic === 'dynamic',
  }))
}

function brokerKey(name: string, rule: ValueRule, fallback: string | null): ConfigKey {
  return {
    name,
    type: rule.type,
    default: fallback,
    documentation: '',
    scope: 'broker',
    effect: 'yes',
    dynamic: false,
    brokerKeys: [],
    problem: rule.problem,
  }
}
