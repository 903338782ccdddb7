"""confluent-kafka (librdkafka) as it is, behind the suite's operations."""

import sys
import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from lines import bytes_of, headers_in, record, serve

BASE = {"bootstrap.servers": sys.argv[-1], "client.id": "conformance-confluent"}
admin = AdminClient(BASE)
members = {}
WAIT_S = 20


class Member:
    def __init__(self, group, topic, protocol):
        self.assigned = []
        # The group's broker decides on times where the new protocol is used.
        times = {"session.timeout.ms": 10000, "heartbeat.interval.ms": 300}
        self.consumer = Consumer(
            {
                **BASE,
                "group.id": group,
                "group.protocol": protocol,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 250,
                **(times if protocol == "classic" else {}),
            }
        )
        self.consumer.subscribe([topic])

    def poll(self, timeout):
        messages = self.consumer.consume(1000, timeout)
        self.assigned = [partition.partition for partition in self.consumer.assignment()]
        return [read(message) for message in messages]


def read(message):
    if message.error():
        raise KafkaException(message.error())
    return record(
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        message.headers() or [],
    )


def produce(topic, records, codec="none", acks=-1, idempotent=False):
    offsets = [None] * len(records)
    errors = []
    producer = Producer(
        {
            **BASE,
            "compression.codec": codec,
            "acks": acks,
            "enable.idempotence": idempotent,
            "linger.ms": 20,
            "error_cb": lambda error: errors.append(str(error)),
        }
    )

    def delivered(at):
        def done(error, message):
            if error is not None:
                errors.append(str(error))
            else:
                offsets[at] = message.offset()

        return done

    for at, one in enumerate(records):
        producer.produce(
            topic,
            partition=one["partition"],
            key=bytes_of(one["key"]),
            value=bytes_of(one["value"]),
            headers=headers_in(one["headers"]),
            on_delivery=delivered(at),
            **({"timestamp": one["timestamp"]} if "timestamp" in one else {}),
        )
    producer.flush(WAIT_S)
    missing = offsets.count(None) if acks != 0 else 0
    if missing:
        raise RuntimeError(f"{missing} records were not delivered: {' '.join(errors[:2])}")
    return {"offsets": offsets}


def fetch(topic, count, timeoutMs, **starts):
    consumer = Consumer({**BASE, "group.id": f"assigned-{topic}", "enable.auto.commit": False, "fetch.wait.max.ms": 250})
    consumer.assign([TopicPartition(topic, int(partition), offset) for partition, offset in starts["from"].items()])
    records, deadline = [], time.monotonic() + timeoutMs / 1000
    while len(records) < count and time.monotonic() < deadline:
        records += [read(message) for message in consumer.consume(count - len(records), 0.2)]
    consumer.close()
    return {"records": records}


def offsets_at(topic, partitions, timestamp):
    wanted = {TopicPartition(topic, partition): OffsetSpec.for_timestamp(timestamp) for partition in partitions}
    found = admin.list_offsets(wanted)
    return {"offsets": {key.partition: answer.result(WAIT_S).offset for key, answer in found.items()}}


def join(member, group, topic, protocol):
    members[member] = Member(group, topic, protocol)


def poll(member, timeoutMs):
    own = members[member]
    return {"records": own.poll(timeoutMs / 1000), "assigned": own.assigned}


def commit(member):
    try:
        members[member].consumer.commit(asynchronous=False)
    except KafkaException as error:
        # Nothing was handed out since the last commit.
        if error.args[0].code() != KafkaError._NO_OFFSET:
            raise


def leave(member):
    members.pop(member).consumer.close()


def done(futures):
    """Waits for the admin client's answers, of which each call gives one for each thing that it names."""
    return [future.result(WAIT_S) for future in futures.values()]


def create_topic(topic, partitions, replication, config):
    done(admin.create_topics([NewTopic(topic, partitions, replication, config=config)]))


def describe_topic(topic):
    found = admin.list_topics(topic, WAIT_S).topics[topic]
    if found.error:
        raise KafkaException(found.error)
    return {
        "partitions": [
            {"partition": one.id, "leader": one.leader, "replicas": one.replicas, "isr": one.isrs}
            for one in found.partitions.values()
        ]
    }


def delete_records(topic, partition, before):
    done(admin.delete_records([TopicPartition(topic, partition, before)]))


def topic_config(topic):
    (entries,) = done(admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))
    return {"config": {name: entry.value for name, entry in entries.items()}}


def alter_topic_config(topic, set):
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in set.items()
    ]
    done(admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)]))


def list_groups():
    found = admin.list_consumer_groups().result(WAIT_S)
    if found.errors:
        raise found.errors[0]
    return {"groups": [group.group_id for group in found.valid]}


def describe_group(group):
    (found,) = done(admin.describe_consumer_groups([group]))
    return {"state": found.state.name, "members": len(found.members)}


def group_offsets(group, topic):
    (found,) = done(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
    return {"offsets": {one.partition: one.offset for one in found.topic_partitions if one.topic == topic}}


serve(
    {
        "produce": produce,
        "fetch": fetch,
        "offsetsAt": offsets_at,
        "join": join,
        "poll": poll,
        "commit": commit,
        "leave": leave,
        "createTopic": create_topic,
        "listTopics": lambda: {"topics": list(admin.list_topics(timeout=WAIT_S).topics)},
        "describeTopic": describe_topic,
        "deleteTopic": lambda topic: done(admin.delete_topics([topic])) and None,
        "createPartitions": lambda topic, count: done(admin.create_partitions([NewPartitions(topic, count)])) and None,
        "deleteRecords": delete_records,
        "topicConfig": topic_config,
        "alterTopicConfig": alter_topic_config,
        "listGroups": list_groups,
        "describeGroup": describe_group,
        "groupOffsets": group_offsets,
        "deleteGroup": lambda group: done(admin.delete_consumer_groups([group])) and None,
    },
    lambda: [member.consumer.close() for member in members.values()],
)
