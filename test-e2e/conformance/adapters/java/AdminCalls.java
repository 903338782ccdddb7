import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.config.ConfigResource;

/** Everything of the admin client. */
final class AdminCalls {
    private final String bootstrap;
    private Admin connected;

    AdminCalls(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    void register(Map<String, Adapter.Handler> handlers) {
        handlers.put("createTopic", this::createTopic);
        handlers.put("describeTopic", this::describeTopic);
        handlers.put("topicConfig", this::topicConfig);
        handlers.put("alterTopicConfig", this::alterTopicConfig);
        handlers.put("describeGroup", this::describeGroup);
        handlers.put("groupOffsets", this::groupOffsets);
        handlers.put("listTopics", args -> names("topics", done(admin().listTopics().names())));
        handlers.put("deleteTopic", args -> ended(admin().deleteTopics(List.of(text(args, "topic"))).all()));
        handlers.put("createPartitions", args ->
            ended(admin().createPartitions(Map.of(text(args, "topic"), NewPartitions.increaseTo(args.get("count").asInt()))).all()));
        handlers.put("deleteRecords", args -> ended(admin().deleteRecords(Map.of(
            new TopicPartition(text(args, "topic"), args.get("partition").asInt()),
            RecordsToDelete.beforeOffset(args.get("before").asLong()))).all()));
        handlers.put("listGroups", args -> {
            List<String> groups = new ArrayList<>();
            done(admin().listConsumerGroups().all()).forEach(group -> groups.add(group.groupId()));
            return names("groups", groups);
        });
        handlers.put("deleteGroup", args -> ended(admin().deleteConsumerGroups(List.of(text(args, "group"))).all()));
    }

    void close() {
        if (connected != null) connected.close();
    }

    private Admin admin() {
        if (connected == null) connected = Admin.create(Adapter.properties(bootstrap));
        return connected;
    }

    private JsonNode createTopic(JsonNode args) throws Exception {
        Map<String, String> config = new HashMap<>();
        args.get("config").fields().forEachRemaining(entry -> config.put(entry.getKey(), entry.getValue().asText()));
        NewTopic topic = new NewTopic(text(args, "topic"), args.get("partitions").asInt(), (short) args.get("replication").asInt());
        return ended(admin().createTopics(List.of(topic.configs(config))).all());
    }

    private JsonNode describeTopic(JsonNode args) throws Exception {
        String topic = text(args, "topic");
        ObjectNode answer = Adapter.nothing();
        ArrayNode partitions = answer.putArray("partitions");
        for (TopicPartitionInfo info : done(admin().describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions()) {
            ObjectNode partition = partitions.addObject();
            partition.put("partition", info.partition());
            partition.put("leader", info.leader() == null ? -1 : info.leader().id());
            ids(partition.putArray("replicas"), info.replicas());
            ids(partition.putArray("isr"), info.isr());
        }
        return answer;
    }

    private static void ids(ArrayNode into, List<Node> nodes) {
        nodes.forEach(node -> into.add(node.id()));
    }

    private static ConfigResource resource(JsonNode args) {
        return new ConfigResource(ConfigResource.Type.TOPIC, text(args, "topic"));
    }

    private JsonNode topicConfig(JsonNode args) throws Exception {
        ObjectNode answer = Adapter.nothing();
        ObjectNode config = answer.putObject("config");
        for (ConfigEntry entry : done(admin().describeConfigs(List.of(resource(args))).all()).get(resource(args)).entries())
            config.put(entry.name(), entry.value());
        return answer;
    }

    private JsonNode alterTopicConfig(JsonNode args) throws Exception {
        List<AlterConfigOp> changes = new ArrayList<>();
        args.get("set").fields().forEachRemaining(entry ->
            changes.add(new AlterConfigOp(new ConfigEntry(entry.getKey(), entry.getValue().asText()), AlterConfigOp.OpType.SET)));
        return ended(admin().incrementalAlterConfigs(Map.of(resource(args), changes)).all());
    }

    private JsonNode describeGroup(JsonNode args) throws Exception {
        String group = text(args, "group");
        ConsumerGroupDescription found = done(admin().describeConsumerGroups(List.of(group)).all()).get(group);
        ObjectNode answer = Adapter.nothing();
        answer.put("state", state(found));
        answer.put("members", found.members().size());
        return answer;
    }

    /** The method changed its name with 4.0. */
    private static String state(ConsumerGroupDescription group) throws Exception {
        try {
            return ConsumerGroupDescription.class.getMethod("groupState").invoke(group).toString();
        } catch (NoSuchMethodException older) {
            return ConsumerGroupDescription.class.getMethod("state").invoke(group).toString();
        }
    }

    private JsonNode groupOffsets(JsonNode args) throws Exception {
        ObjectNode answer = Adapter.nothing();
        ObjectNode offsets = answer.putObject("offsets");
        done(admin().listConsumerGroupOffsets(text(args, "group")).partitionsToOffsetAndMetadata()).forEach((partition, offset) -> {
            if (partition.topic().equals(text(args, "topic"))) offsets.put(String.valueOf(partition.partition()), offset.offset());
        });
        return answer;
    }

    private static String text(JsonNode args, String name) {
        return args.get(name).asText();
    }

    private static <T> T done(KafkaFuture<T> future) throws Exception {
        return future.get(20, TimeUnit.SECONDS);
    }

    private static JsonNode ended(KafkaFuture<?> future) throws Exception {
        done(future);
        return Adapter.nothing();
    }

    private static JsonNode names(String field, Iterable<String> names) {
        ObjectNode answer = Adapter.nothing();
        ArrayNode list = answer.putArray(field);
        names.forEach(list::add);
        return answer;
    }
}
