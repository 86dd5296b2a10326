// Fills the topic of events with records as ingest writes them, many times faster than ingest does.
//
//   java -cp JARS FillEvents.java BOOTSTRAP TOPIC COUNT INSTANCES FIRST BEGIN_MS STEP_US
//
// Record number N is of instance FIRST + N % INSTANCES, and was received at BEGIN_MS + N * STEP_US.
import java.nio.charset.StandardCharsets;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class FillEvents {
  static byte[] bytes(Object text) {
    return text.toString().getBytes(StandardCharsets.US_ASCII);
  }

  public static void main(String[] given) throws Exception {
    String topic = given[1];
    long count = Long.parseLong(given[2]);
    long instances = Long.parseLong(given[3]);
    long first = Long.parseLong(given[4]);
    long begin = Long.parseLong(given[5]);
    long step = Long.parseLong(given[6]);
    Properties properties = new Properties();
    properties.put("bootstrap.servers", given[0]);
    properties.put("acks", "1");
    properties.put("linger.ms", "20");
    properties.put("batch.size", "500000");
    properties.put("buffer.memory", "67108864");
    properties.put("compression.type", "lz4");
    String body = "{\"type\":\"webhook_event\",\"source\":{\"type\":\"file\",\"name\":\""
        + "x".repeat(200) + "\"},\"id\":\"";
    byte[] version = bytes("1");
    byte[] element = bytes("box");
    byte[] created = bytes("CREATED");
    byte[] file = bytes("file");
    byte[] json = bytes("application/json");
    ByteArraySerializer plain = new ByteArraySerializer();
    try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(properties, plain, plain)) {
      for (long number = 0; number < count; ++number) {
        long at = begin + number * step / 1000;
        byte[] instance = bytes(first + number % instances);
        ProducerRecord<byte[], byte[]> record =
            new ProducerRecord<>(topic, null, at, instance, bytes(body + number + "\"}"));
        record.headers()
            .add("er-v", version)
            .add("er-id", bytes(String.format("00000000-0000-7000-8000-%012x", number)))
            .add("er-element", element)
            .add("er-instance", instance)
            .add("er-event-type", created)
            .add("er-object-type", file)
            .add("er-object-id", bytes(number))
            .add("er-received", bytes(at))
            .add("er-content-type", json);
        producer.send(record);
      }
    }
  }
}
