import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;

/** Apache Kafka's Java clients as they are, behind the suite's operations: a JSON object a line in, one out. */
public final class Adapter {
    static final ObjectMapper JSON = new ObjectMapper();

    /** One operation of the suite. */
    interface Handler {
        JsonNode run(JsonNode args) throws Exception;
    }

    public static void main(String[] args) throws Exception {
        String bootstrap = args[args.length - 1];
        Map<String, Handler> handlers = new HashMap<>();
        Records.register(handlers, bootstrap);
        AdminCalls admin = new AdminCalls(bootstrap);
        admin.register(handlers);
        Members members = new Members(bootstrap);
        members.register(handlers);
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) out.println(answer(handlers, line));
        members.close();
        admin.close();
    }

    private static String answer(Map<String, Handler> handlers, String line) throws Exception {
        JsonNode command = JSON.readTree(line);
        ObjectNode answer = JSON.createObjectNode();
        // The suite looks for lines that begin with the id.
        answer.set("id", command.get("id"));
        Handler handler = handlers.get(command.get("operation").asText());
        try {
            if (handler == null) throw new UnsupportedOperationException("this client has no " + command.get("operation"));
            answer.set("result", handler.run(command));
        } catch (Exception error) {
            answer.put("error", describe(error));
        }
        return JSON.writeValueAsString(answer);
    }

    private static String describe(Throwable error) {
        String own = error.getClass().getSimpleName() + ": " + error.getMessage();
        return error.getCause() == null ? own : own + ": " + describe(error.getCause());
    }

    static Properties properties(String bootstrap, String... pairs) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("client.id", "conformance-java");
        for (int at = 0; at < pairs.length; at += 2) properties.put(pairs[at], pairs[at + 1]);
        return properties;
    }

    static ObjectNode nothing() {
        return JSON.createObjectNode();
    }
}
