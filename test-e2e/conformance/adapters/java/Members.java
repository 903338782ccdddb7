import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Members of groups, of either protocol. */
final class Members {
    private final Map<String, KafkaConsumer<byte[], byte[]>> members = new HashMap<>();
    private final String bootstrap;

    Members(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    void register(Map<String, Adapter.Handler> handlers) {
        handlers.put("join", this::join);
        handlers.put("poll", this::poll);
        handlers.put("commit", args -> {
            member(args).commitSync(Duration.ofSeconds(10));
            return Adapter.nothing();
        });
        handlers.put("leave", args -> {
            member(args).close();
            members.remove(args.get("member").asText());
            return Adapter.nothing();
        });
    }

    void close() {
        members.values().forEach(KafkaConsumer::close);
    }

    private JsonNode join(JsonNode args) {
        String protocol = args.get("protocol").asText();
        Properties properties = Adapter.properties(
            bootstrap,
            "group.id", args.get("group").asText(),
            "group.protocol", protocol,
            "enable.auto.commit", "false",
            "auto.offset.reset", "earliest",
            "fetch.max.wait.ms", "250");
        if (protocol.equals("classic")) {
            properties.put("session.timeout.ms", "10000");
            properties.put("heartbeat.interval.ms", "300");
        }
        KafkaConsumer<byte[], byte[]> consumer =
            new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        consumer.subscribe(List.of(args.get("topic").asText()));
        members.put(args.get("member").asText(), consumer);
        return Adapter.nothing();
    }

    private JsonNode poll(JsonNode args) {
        KafkaConsumer<byte[], byte[]> consumer = member(args);
        ObjectNode answer = Adapter.nothing();
        ArrayNode records = answer.putArray("records");
        consumer.poll(Duration.ofMillis(args.get("timeoutMs").asLong())).forEach(record -> records.add(Records.recordOut(record)));
        ArrayNode assigned = answer.putArray("assigned");
        consumer.assignment().forEach(partition -> assigned.add(partition.partition()));
        return answer;
    }

    private KafkaConsumer<byte[], byte[]> member(JsonNode args) {
        return members.get(args.get("member").asText());
    }
}
