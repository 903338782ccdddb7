"""kafka-python as it is, behind the suite's operations."""

import sys
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from lines import bytes_of, headers_in, record, serve

BASE = {"bootstrap_servers": sys.argv[-1].split(","), "client_id": "conformance-kafka-python"}
members = {}
connected = []
EARLIEST = -2


def admin():
    if not connected:
        connected.append(KafkaAdminClient(**BASE))
    return connected[0]


def read(one):
    return record(one.partition, one.offset, one.timestamp, one.key, one.value, one.headers)


def produce(topic, records, codec="none", acks=-1, idempotent=False):
    producer = KafkaProducer(
        **BASE,
        acks="all" if acks == -1 else acks,
        compression_type=None if codec == "none" else codec,
        enable_idempotence=idempotent,
        linger_ms=20,
    )
    try:
        sent = [
            producer.send(
                topic,
                partition=one["partition"],
                key=bytes_of(one["key"]),
                value=bytes_of(one["value"]),
                headers=headers_in(one["headers"]),
                timestamp_ms=one.get("timestamp"),
            )
            for one in records
        ]
        producer.flush(20)
        return {"offsets": [future.get(20).offset for future in sent]}
    finally:
        producer.close(5)


def fetch(topic, count, timeoutMs, **starts):
    consumer = KafkaConsumer(**BASE, enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=250)
    partitions = {TopicPartition(topic, int(partition)): offset for partition, offset in starts["from"].items()}
    consumer.assign(list(partitions))
    for partition, offset in partitions.items():
        consumer.seek_to_beginning(partition) if offset == EARLIEST else consumer.seek(partition, offset)
    records, deadline = [], time.monotonic() + timeoutMs / 1000
    while len(records) < count and time.monotonic() < deadline:
        records += polled(consumer, 200)
    consumer.close()
    return {"records": records}


def polled(consumer, timeout_ms):
    return [read(one) for batch in consumer.poll(timeout_ms).values() for one in batch]


def offsets_at(topic, partitions, timestamp):
    consumer = KafkaConsumer(**BASE)
    found = consumer.offsets_for_times({TopicPartition(topic, partition): timestamp for partition in partitions})
    consumer.close()
    return {"offsets": {key.partition: -1 if value is None else value.offset for key, value in found.items()}}


def join(member, group, topic, protocol):
    consumer = KafkaConsumer(
        **BASE,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        heartbeat_interval_ms=300,
        session_timeout_ms=10000,
        fetch_max_wait_ms=250,
    )
    # Version 3.0.12 stands still for good now and then when it hears of the partitions while it joins, with every request answered.
    consumer.partitions_for_topic(topic)
    consumer.subscribe([topic])
    members[member] = consumer


def poll(member, timeoutMs):
    consumer = members[member]
    records = polled(consumer, timeoutMs)
    return {"records": records, "assigned": [one.partition for one in consumer.assignment()]}


def commit(member):
    members[member].commit()


def leave(member):
    members.pop(member).close(autocommit=False)


def create_topic(topic, partitions, replication, config):
    admin().create_topics(
        {topic: {"num_partitions": partitions, "replication_factor": replication, "configs": config}}
    )


def describe_topic(topic):
    (found,) = admin().describe_topics([topic])
    return {
        "partitions": [
            {
                "partition": one["partition_index"],
                "leader": one["leader_id"],
                "replicas": one["replica_nodes"],
                "isr": one["isr_nodes"],
            }
            for one in found["partitions"]
        ]
    }


def delete_records(topic, partition, before):
    admin().delete_records({TopicPartition(topic, partition): before})


def topic_config(topic):
    found = admin().describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
    return {"config": {name: entry["value"] for name, entry in found["topic"][topic].items()}}


def alter_topic_config(topic, set):
    found = admin().alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, set)])
    # Its answer is a word, not an exception.
    outcome = found["topic"][topic]
    if outcome not in ("OK", None):
        raise RuntimeError(str(outcome))


def describe_group(group):
    found = admin().describe_groups([group])[group]
    if found["error"]:
        raise RuntimeError(found["error"])
    return {"state": found["group_state"], "members": len(found["members"])}


def group_offsets(group, topic):
    found = admin().list_group_offsets(group)[group]
    return {"offsets": {key.partition: value.offset for key, value in found.items() if key.topic == topic}}


def delete_group(group):
    outcome = admin().delete_groups([group])[group]
    if outcome != "OK":
        raise RuntimeError(outcome)


def close():
    for consumer in members.values():
        consumer.close(autocommit=False)
    for client in connected:
        client.close()


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
        "listTopics": lambda: {"topics": list(admin().list_topics())},
        "describeTopic": describe_topic,
        "deleteTopic": lambda topic: admin().delete_topics([topic]) and None,
        "createPartitions": lambda topic, count: admin().create_partitions({topic: count}) and None,
        "deleteRecords": delete_records,
        "topicConfig": topic_config,
        "alterTopicConfig": alter_topic_config,
        "listGroups": lambda: {"groups": [group["group_id"] for group in admin().list_groups()]},
        "describeGroup": describe_group,
        "groupOffsets": group_offsets,
        "deleteGroup": delete_group,
    },
    close,
)
