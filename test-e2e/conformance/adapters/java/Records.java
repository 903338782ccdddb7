import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Writing and reading by assignment. */
final class Records {
    private static final long EARLIEST = -2;

    private Records() {}

    static void register(Map<String, Adapter.Handler> handlers, String bootstrap) {
        handlers.put("produce", args -> produce(bootstrap, args));
        handlers.put("fetch", args -> fetch(bootstrap, args));
        handlers.put("offsetsAt", args -> offsetsAt(bootstrap, args));
    }

    private static JsonNode produce(String bootstrap, JsonNode args) throws Exception {
        Properties properties = Adapter.properties(
            bootstrap,
            "compression.type", args.path("codec").asText("none"),
            "acks", args.path("acks").asText("-1"),
            "enable.idempotence", String.valueOf(args.path("idempotent").asBoolean(false)),
            "linger.ms", "20",
            "delivery.timeout.ms", "25000",
            "request.timeout.ms", "20000");
        try (KafkaProducer<byte[], byte[]> producer =
            new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (JsonNode record : args.get("records")) sent.add(producer.send(recordIn(args.get("topic").asText(), record)));
            producer.flush();
            ObjectNode answer = Adapter.nothing();
            ArrayNode offsets = answer.putArray("offsets");
            for (Future<RecordMetadata> future : sent) offsets.add(future.get(25, TimeUnit.SECONDS).offset());
            return answer;
        }
    }

    private static ProducerRecord<byte[], byte[]> recordIn(String topic, JsonNode record) throws IOException {
        List<Header> headers = new ArrayList<>();
        for (JsonNode header : record.get("headers")) headers.add(new RecordHeader(header.get(0).asText(), bytes(header.get(1))));
        Long timestamp = record.has("timestamp") ? record.get("timestamp").asLong() : null;
        int partition = record.get("partition").asInt();
        return new ProducerRecord<>(topic, partition, timestamp, bytes(record.get("key")), bytes(record.get("value")), headers);
    }

    private static JsonNode fetch(String bootstrap, JsonNode args) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(bootstrap)) {
            Map<TopicPartition, Long> from = new HashMap<>();
            args.get("from").fields().forEachRemaining(entry ->
                from.put(new TopicPartition(args.get("topic").asText(), Integer.parseInt(entry.getKey())), entry.getValue().asLong()));
            consumer.assign(from.keySet());
            from.forEach((partition, offset) -> {
                if (offset == EARLIEST) consumer.seekToBeginning(List.of(partition));
                else consumer.seek(partition, offset);
            });
            ObjectNode answer = Adapter.nothing();
            ArrayNode records = answer.putArray("records");
            long deadline = System.currentTimeMillis() + args.get("timeoutMs").asLong();
            while (records.size() < args.get("count").asInt() && System.currentTimeMillis() < deadline)
                consumer.poll(Duration.ofMillis(200)).forEach(record -> records.add(recordOut(record)));
            return answer;
        }
    }

    private static JsonNode offsetsAt(String bootstrap, JsonNode args) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(bootstrap)) {
            Map<TopicPartition, Long> times = new HashMap<>();
            for (JsonNode partition : args.get("partitions"))
                times.put(new TopicPartition(args.get("topic").asText(), partition.asInt()), args.get("timestamp").asLong());
            ObjectNode answer = Adapter.nothing();
            ObjectNode offsets = answer.putObject("offsets");
            for (Map.Entry<TopicPartition, OffsetAndTimestamp> found : consumer.offsetsForTimes(times).entrySet())
                offsets.put(String.valueOf(found.getKey().partition()), found.getValue() == null ? -1 : found.getValue().offset());
            return answer;
        }
    }

    private static KafkaConsumer<byte[], byte[]> consumer(String bootstrap) {
        Properties properties = Adapter.properties(bootstrap, "enable.auto.commit", "false", "fetch.max.wait.ms", "250");
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static ObjectNode recordOut(ConsumerRecord<byte[], byte[]> record) {
        ObjectNode plain = Adapter.nothing();
        plain.put("partition", record.partition());
        plain.put("offset", record.offset());
        plain.put("timestamp", record.timestamp());
        plain.put("key", text(record.key()));
        plain.put("value", text(record.value()));
        ArrayNode headers = plain.putArray("headers");
        for (Header header : record.headers()) headers.addArray().add(header.key()).add(text(header.value()));
        return plain;
    }

    private static byte[] bytes(JsonNode text) {
        return text.isNull() ? null : Base64.getDecoder().decode(text.asText());
    }

    private static String text(byte[] bytes) {
        return bytes == null ? null : Base64.getEncoder().encodeToString(bytes);
    }
}
