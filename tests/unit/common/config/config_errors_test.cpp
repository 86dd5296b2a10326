// Every way to get a configuration wrong, and what the user is told.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/registry/settings.hpp"

namespace eventrelay {
namespace {

constexpr const char* kPlanted = "planted-3f9c";

std::string told(ConfigInput input) {
  input.path = "c.yaml";
  input.environment.emplace("EMPTY", "");
  input.environment.emplace("PLANTED", kPlanted);
  try {
    (void)load_settings(input);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

std::string told(const std::string& text) {
  ConfigInput input;
  input.text = text;
  return told(std::move(input));
}

struct Row {
  std::string text;
  std::string message;
};

// One good instance with `more` behind it, indented by four.
std::string instance(const std::string& more) {
  return "instances:\n  - id: 1\n    element: box\n" + more;
}

std::string callback(const std::string& url) {
  return instance("    configuration: {event.notification.callback.url: '" + url + "'}\n");
}

std::string delivery(const std::string& inside) {
  return instance("    delivery: {" + inside + "}\n");
}

void expect_rows(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const std::string message = told(row.text);
    EXPECT_NE(message.find(row.message), std::string::npos)
        << row.text << "\n--- wanted: " << row.message << "\n--- told: " << message;
    EXPECT_EQ(message.find(kPlanted), std::string::npos) << message;
  }
}

TEST(ConfigErrors, NameUnknownAndDoubledKeysWithTheNearestKnown) {
  expect_rows({
      {"relai: {}", "c.yaml:1:1: relai: unknown key, did you mean relay?"},
      {"ingest:\n  listn: 1", "c.yaml:2:3: ingest.listn: unknown key, did you mean ingest.listen?"},
      {"topics: {partition: 3}", "topics.partition: unknown key, did you mean topics.partitions?"},
      {"relay:\n  in_flight_max: 3", "did you mean relay.inflight_max?"},
      {"body_max: 1MiB", "c.yaml:1:1: body_max: unknown key, did you mean ingest.body_max?"},
      {"zebra: 1", "c.yaml:1:1: zebra: unknown key"},
      {"Log: {}", "did you mean log?"},
      {"version: 1\nversion: 1", "c.yaml:2:1: version: doubled key, first in line 1"},
      {"relay:\n  group: a\n  shards: 1\n  group: b",
       "c.yaml:4:3: relay.group: doubled key, first in line 2"},
      {"kafka:\n  acks: all\n  acks: all", "kafka.acks: doubled key"},
      {"sources:\n  box: {keys: [a]}\n  box: {keys: [b]}", "sources.box: doubled key"},
      {"sources: {box: {keyz: [a]}}",
       "sources.box.keyz: unknown key, did you mean sources.box.keys?"},
      {"sources: {box: {keys: [a], v1: {tokn: x}}}", "did you mean sources.box.v1.token?"},
      {instance("    nmae: x\n"),
       "c.yaml:4:5: instances[0].nmae: unknown key, did you mean "
       "instances[0].name?"},
      {"admin: {token: planted-3f9c}", "admin.token: unknown key, did you mean admin.token_file?"},
      {delivery("timeouts: 5s"), "did you mean instances[0].delivery.timeout?"},
  });
}

TEST(ConfigErrors, NameTheKindThatIsWanted) {
  expect_rows({
      {"- 1", "c.yaml:1:1: must be a map, found a list"},
      {"just text", "must be a map, found a single value"},
      {"topics: []", "c.yaml:1:1: topics: must be a map, found a list"},
      {"instances: {}", "instances: must be a list, found a map"},
      {"instances: [3]", "instances[0]: must be a map, found a single value"},
      {"relay: {group: [a]}", "relay.group: must be a single value, found a list"},
      {"relay: {shards: }", "relay.shards: must be a single value, found nothing"},
      {"topics: {create: maybe}", "topics.create: \"maybe\" is not true or false"},
      {"topics: {create: yes}", "topics.create: \"yes\" is not true or false"},
      {"topics: {create: \"true\"}",
       "\"true\" in quotes is text; write true or false without them"},
      {"log: {level: loud}", "log.level: \"loud\" is not one of debug, info, warn, error"},
      {"log: {format: xml}", "log.format: \"xml\" is not one of auto, json, text"},
      {"registry: etcd", "registry: \"etcd\" is not one of file, topic"},
      {"relay: {shards: many}", "relay.shards: \"many\" is not a whole number (allowed: 0..256)"},
      {"relay: {shards: 1.5}", "\"1.5\" is not a whole number"},
      {"retry: {jitter: lots}", "retry.jitter: \"lots\" is not a number (allowed: 0..0.5)"},
      {delivery("ordering: strict"), "\"strict\" is not one of none, object, instance"},
      {delivery("format: soap"), "is not one of elements, raw, cloudevents, cloudevents-binary"},
      {delivery("signature: md5"), "is not one of elements, standard, standard-ed25519, none"},
      {delivery("exhausted: drop"), "\"drop\" is not one of dead, queue"},
      {"relay: {attempts_log: some}", "\"some\" is not one of failures, all, none"},
      {delivery("keys: abc"), "delivery.keys: must be a list, found a single value"},
  });
}

TEST(ConfigErrors, NameBoundsAndUnits) {
  expect_rows({
      {"version: 2", "c.yaml:1:1: version: 2 is above 1 (allowed: 1..1)"},
      {"relay:\n  inflight_max: 0",
       "c.yaml:2:3: relay.inflight_max: 0 is below 1 (allowed: 1..65536)"},
      {"relay: {inflight_max: 65537}", "65537 is above 65536 (allowed: 1..65536)"},
      {"relay: {inflight_max: 99999999999999999999}", "is not a whole number"},
      {"topics: {partitions: 0}", "topics.partitions: 0 is below 1 (allowed: 1..10000)"},
      {"topics: {prefix: a b}", "topics.prefix: \"a b\" may hold letters, digits and . _ - only"},
      {"topics: {prefix: " + std::string(101, 'x') + "}",
       "topics.prefix: 101 characters (allowed: 0..100 characters)"},
      {"retry: {jitter: 0.6}", "retry.jitter: 0.6 is above 0.5 (allowed: 0..0.5)"},
      {"retry: {delays: []}", "retry.delays: 0 entries (allowed: 1..12 entries)"},
      {"retry: {delays: [5]}", "retry.delays[0]: \"5\" is not a duration with a unit"},
      {"retry: {delays: [1ms]}", "1ms is below 10ms (allowed: 10ms..7d)"},
      {"retry: {delays: [5s, 5s]}",
       "retry.delays[1]: 5s is not above 5s; delays must be ascending"},
      {"retry: {delays: cloud}", "must be a list of durations, ce or ce-legacy"},
      {"retry: {delays: ''}", "must be a list of durations, ce or ce-legacy"},
      {delivery("retry_delays: []"), "delivery.retry_delays: 0 entries (allowed: 1..12 entries)"},
      {delivery("retry_delays: [5s, 4s]"), "4s is not above 5s; delays must be ascending"},
      {delivery("retry_delays: soon"), "must be a list of durations, ce or ce-legacy"},
      {delivery("slow_start: -1"), "delivery.slow_start: -1 is below 0 (allowed: 0..1000000)"},
      {"ingest: {ack_timeout: 5}", "\"5\" is not a duration with a unit, such as 250ms, 5s"},
      {"ingest: {ack_timeout: 1ms}", "1ms is below 100ms (allowed: 100ms..1m)"},
      {"ingest: {ack_timeout: 5 s}", "is not a duration with a unit"},
      {"ingest: {ack_timeout: 9223372036854775807d}", "is not a duration with a unit"},
      {"ingest: {body_max: 1048576}", "\"1048576\" is not a size with a unit, such as 512B, 64KiB"},
      {"ingest: {body_max: 1kb}", "is not a size with a unit"},
      {"ingest: {body_max: 33MiB}", "33MiB is above 32MiB (allowed: 1KiB..32MiB)"},
      {"ingest: {memory_max: 1KiB}", "1KiB is below 4MiB"},
      {"ingest: {memory_max: 16MiB, body_max: 8MiB}", "16MiB is below 4 x ingest.body_max (8MiB)"},
      {"ingest: {body_max: 16MiB}\nrelay: {memory_max: 32MiB}",
       "relay.memory_max: 32MiB is below 4 x ingest.body_max (16MiB)"},
      {"sources: {box: {keys: [k], body_max: 20MiB}}\nrelay: {memory_max: 64MiB}",
       "sources.box.body_max: 20MiB is above a quarter of memory_max (64MiB)"},
      {"ingest: {listen: ['127.0.0.1:80', '127.0.0.1:81', '127.0.0.1:80']}",
       "ingest.listen[2]: 127.0.0.1:80 is given twice"},
      {"ingest: {listen: ['127.0.0.1:80']}\nadmin: {listen: '127.0.0.1:80'}",
       "admin.listen: 127.0.0.1:80 is in ingest.listen as well"},
      {"ingest: {listen: ['127.0.0.1:80'], admin: {listen: '127.0.0.1:80'}}",
       "ingest.admin.listen: 127.0.0.1:80 is in ingest.listen as well"},
      {"ingest: {listen: nowhere}", "\"nowhere\" is not an address such as 127.0.0.1:8080"},
      {"ingest: {listen: ['::1:80']}", "ingest.listen[0]: \"::1:80\" is not an address"},
      {"ingest: {listen: []}", "ingest.listen: 0 entries (allowed: 1..16 entries)"},
      {"ingest: {base_path: elements}", "must begin with / and name a path"},
      {"ingest: {base_path: /a/}", "must not end with /"},
      {"ingest: {base_path: '/a b'}", "may hold letters, digits and - . _ ~ / only"},
      {"relay: {group: ''}", "relay.group: 0 characters (allowed: 1..200 characters)"},
      {delivery("concurrency: 1025"), "1025 is above 1024 (allowed: 1..1024)"},
      {delivery("ports: [443, 0]"), "delivery.ports[1]: 0 is below 1 (allowed: 1..65535)"},
      {delivery("fatal_statuses: [200]"), "200 is below 300 (allowed: 300..599)"},
      {delivery("timeout: 10m"), "10m is above 5m (allowed: 100ms..5m)"},
      {"instances: [{id: 0, element: box}]", "instances[0].id: 0 is below 1"},
  });
}

TEST(ConfigErrors, NameSecretsAndVariablesThatAreMissing) {
  expect_rows({
      {"sources: {box: {keys: [{file: /no/such}]}}",
       "sources.box.keys[0]: cannot read /no/such: No such file or directory"},
      {"sources: {box: {keys: [{file: /}]}}", "cannot read /: Is a directory"},
      {"sources: {box: {keys: [{file: /dev/null}]}}", "/dev/null is empty"},
      {"sources: {box: {keys: [{file: /dev/zero}]}}", "/dev/zero holds more than 65536 bytes"},
      {"sources: {box: {keys: [{env: NOPE}]}}", "the environment variable NOPE is not set"},
      {"sources: {box: {keys: [{env: EMPTY}]}}", "the environment variable EMPTY is empty"},
      {"sources: {box: {keys: [{vault: x}]}}", "must be a text, {file: path} or {env: NAME}"},
      {"sources: {box: {keys: [{}]}}", "must be a text, {file: path} or {env: NAME}"},
      {"sources: {box: {keys: ['']}}", "sources.box.keys[0]: an empty secret"},
      {"sources: {box: {keys: ['***']}}", "is masked (***); give the secret itself"},
      {"sources: {box: {keys: [a, b, c, d]}}", "4 entries (allowed: 0..3 entries)"},
      {"sources: {box: {keys: []}}", "sources.box.keys: at least one is required"},
      {"admin: {token_file: /no/such}", "admin.token_file: cannot read /no/such"},
      {"admin: {hosts: ['http://relay-0']}", "must be a host name without a scheme, port or path"},
      {"admin: {hosts: ['relay-0:9465']}", "must be a host name without a scheme, port or path"},
      {"admin: {open: [status]}", "is not a thing that may be opened: metrics"},
      {"ingest: {handshakes_max: 0}", "0 is below 1 (allowed: 1..65536)"},
      {"ingest: {connections_max: 1000001}", "is above 1000000"},
      {"sources: {box: {keys: [a], ack_timeout: 50ms}}", "50ms is below 100ms"},
      {"relay: {group: '${NOPE}'}",
       "the environment variable NOPE is not set; set it or write ${NOPE:-default}"},
      {"relay: {group: '${PLANTED'}", "relay.group: ${ without }"},
      {"relay: {group: '${1}'}", "${...} must hold the name of an environment variable"},
      {"relay: {shards: '${PLANTED}'}", "relay.shards: \"${PLANTED}\" is not a whole number"},
      {"kafka: {sasl.password: [a]}", "kafka.sasl.password: must be a text, {file: path}"},
      {"kafka: {client.id: {env: PLANTED}}",
       "kafka.client.id: must be a single value, found a map"},
  });
}

TEST(ConfigErrors, NameRelationsBetweenKeys) {
  const std::string enabled =
      instance("    configuration:\n      event.notification.enabled: true\n");
  expect_rows({
      {"control: {enabled: true}",
       "control.organizations: required because control.enabled is true"},
      {"registry: topic", "seal.keys: required because registry is topic"},
      {"control: {enabled: true, organizations: [abcdefghijklmnop]}",
       "control.organizations[0]: must be a map, found a single value"},
      {"control: {enabled: true}", "registry: must be topic because control.enabled is true"},
      {"control: {enabled: true}", "ingest.public_url: required because control.enabled is true"},
      {"registry: topic\n" + instance(""), "registry: topic and instances: exclude each other"},
      {"ingest: {tls: {cert: a}}", "ingest.tls.key: required beside ingest.tls.cert"},
      {"ingest: {tls: {key: a}}", "ingest.tls.cert: required beside ingest.tls.key"},
      {"sources: {custom: {keys: [a]}}",
       "sources.custom.scheme: required because custom is not a built-in element"},
      {"sources: {box: {keys: [a], scheme: box-v9}}", "box-v9 is not one of box-v2"},
      {"sources: {box: {v1: {enabled: true}}}",
       "sources.box.v1.token: required because v1.enabled"},
      {"sources: {BOX: {keys: [a]}}", "the name may hold lower-case letters, digits and - only"},
      {"instances: [{element: box}]", "c.yaml:1:13: instances[0].id: required"},
      {"instances: [{id: 1}]", "instances[0].element: required"},
      {"retry: {delays: [1s, 1m]}\n" + delivery("retry_delays: [30s, 61s]"),
       "instances[0].delivery.retry_delays: a wait of 61s is longer than the longest of "
       "retry.delays (1m)"},
      {delivery("retry_delays: ce-legacy"),
       "a wait of 196608s is longer than the longest of retry.delays (10h)"},
      {instance("    subscriptions: [{name: a, url: 'https://a.example/', "
                "delivery: {retry_delays: [11h]}}]\n"),
       "instances[0].subscriptions[0].delivery.retry_delays: a wait of 11h is longer"},
      {"instances: [{id: 1, element: bax}]",
       "bax is neither built in nor described in sources, did you mean box?"},
      {"instances:\n- {id: 7, element: box}\n- {id: 7, element: box}",
       "c.yaml:3:4: instances[1].id: 7 is given twice, first in instances[0]"},
      {enabled,
       "c.yaml:4:5: instances[0].configuration.event.notification.callback.url: "
       "required because event.notification.enabled is true"},
      {delivery("signature: elements"),
       "event.notification.signature.key: required because "
       "instances[0].delivery.signature asks for one"},
      {delivery("signature: standard"), "signature.key: required because"},
      {instance("    subscriptions: [{url: 'https://a.example/'}]\n"),
       "subscriptions[0].name: required"},
      {instance("    subscriptions: [{name: a}]\n"), "subscriptions[0].url: required"},
      {instance("    subscriptions: [{name: A, url: 'https://a.example'}]\n"),
       "\"A\" may hold lower-case letters, digits and - only"},
      {instance("    subscriptions: [{name: a, url: 'https://a.example'}, {name: a, url: "
                "'https://b.example'}]\n"),
       "subscriptions[1].name: a is given twice, first in subscriptions[0]"},
      {callback("http://a.example/"), "must begin with https:// (delivery.allow_http lets http"},
      {callback("https://u:planted-3f9c@a.example/"), "must not hold a user name or password"},
      {callback("https://a.example:81/planted-3f9c"),
       "port 81 is not 443, 8443 or in delivery.ports"},
      {delivery("headers: {Host: a}"), "is a header the relay sets itself"},
      {delivery("headers: {Bad Name: a}"), "is not a header name"},
      {delivery("headers: {Connection: planted-3f9c}"), "belongs to one connection"},
      {delivery("headers: {X-A: \"planted-3f9c\\r\\nX-B: 1\"}"),
       "the value may hold visible ASCII, spaces and tabs only"},
      {delivery("headers: {Authorization: \"planted-3f9c\\n\"}"), "the value may hold visible"},
  });
}

TEST(ConfigErrors, NameKafkaPropertiesThatCannotBe) {
  expect_rows({
      {"kafka:\n  no.such.property: 1", "c.yaml:2:3: kafka.no.such.property: "},
      {"kafka: {acks: 0}", "kafka.acks: "},
      {"kafka: {enable.auto.commit: true}", "kafka.enable.auto.commit: "},
      {"kafka: {bootstrap.servers: ''}", "must name a broker as host:port"},
      {"kafka: {bootstrap.servers: 'a:74628'}", "holds a port that is not 1..65535"},
      {"kafka: {bootstrap.servers: 'a:9092,b:0'}", "holds a port that is not 1..65535"},
      {"kafka: {bootstrap.servers: 'a:9092,[::1]:65536'}", "holds a port that is not 1..65535"},
      {"kafka: {bootstrap.servers: 'a:9o92'}", "holds a port that is not 1..65535"},
      {"kafka: {socket.timeout.ms: abc}", "kafka.socket.timeout.ms: "},
      {"kafka: {'a b': 1}", "is not the name of a librdkafka property"},
      {"kafka: {no.such.password: planted-3f9c}", "kafka.no.such.password: "},
  });
}

TEST(ConfigErrors, NameWhatIsNotOneYamlDocument) {
  expect_rows({
      {"a: [1", "c.yaml:1:"},
      {"topics: {partitions: [\n", "not YAML"},
      {"version: 1\n---\nversion: 1\n", "a second document; one file holds one"},
      {"? [a]\n: 1\n", "a key must be plain text"},
      {"log: &a {level: info}\nadmin: *a\n", "c.yaml:1:10: admin.level: unknown key"},
      {"\tversion: 1", "c.yaml:1:"},
      {"kafka: {password: planted-3f9c", "c.yaml:1:"},
  });
}

TEST(ConfigErrors, NameTheOverrideTheyComeFrom) {
  ConfigInput flags;
  flags.text = "version: 1";
  flags.overrides = {"relay.inflight_max=0", "relay.gruop=x", "log.level=[a]", "nothing",
                     "kafka.sasl.password=[planted-3f9c"};
  const std::string flag_text = told(flags);
  for (const char* part :
       {"--set: relay.inflight_max: 0 is below 1 (allowed: 1..65536)",
        "--set: relay.gruop: unknown key, did you mean relay.group?",
        "--set: log.level: must be a single value, found a list", "--set: must be key=value",
        "--set: kafka.sasl.password: the value is not YAML; put it in quotes"}) {
    EXPECT_NE(flag_text.find(part), std::string::npos) << part << "\n" << flag_text;
  }
  EXPECT_EQ(flag_text.find(kPlanted), std::string::npos) << flag_text;

  ConfigInput variables;
  variables.text = "version: 1";
  variables.environment = {{"EVENTRELAY__TOPICS__PARTITIONS", "0"},
                           {"EVENTRELAY__INGEST__MEMORY_MAX", "1KiB"}};
  const std::string variable_text = told(variables);
  for (const char* part :
       {"EVENTRELAY__TOPICS__PARTITIONS: topics.partitions: 0 is below 1",
        "EVENTRELAY__INGEST__MEMORY_MAX: ingest.memory_max: 1KiB is below 4MiB"}) {
    EXPECT_NE(variable_text.find(part), std::string::npos) << part << "\n" << variable_text;
  }
}

TEST(ConfigErrors, AreAllToldAtOnce) {
  std::string text;
  for (int i = 0; i < 169; ++i) text += "zebra" + std::to_string(i) + ": 1\n";
  const std::string message = told(text);
  for (int i = 0; i < 169; ++i) {
    ASSERT_NE(message.find("zebra" + std::to_string(i) + ":"), std::string::npos) << message;
  }
  EXPECT_EQ(message.find(" more"), std::string::npos);
}

// A secret that stands where something else belongs, or under a name that is misspelt, is told by
// its place alone.
TEST(ConfigErrors, NeverQuoteWhatMayBeASecret) {
  const std::string secret = "hunter2Hunter2Hunter2";
  const std::string word = "hunter2";
  const std::string rows[] = {
      "kafka: {sasl.pasword: " + secret + "}",
      "kafka: {ssl.key.pm: " + word + "}",
      "kafka: {ssl.key.pem.: {env: " + word + "}}",
      "kafka: {sasl.password: '${" + word + "}'}",
      "admin: {token_file: " + word + "}",
      "admin: {token_file: {env: " + word + "}}",
      "admin: {token_file: {" + word + ": x}}",
      "sources: {box: {keys: [{file: " + word + "}]}}",
      "sources: {box: {keys: [{env: " + secret + "}]}}",
      "sources: {box: {scheme: " + secret + ", keys: [a]}}",
      "log: {level: " + secret + "}",
      "ingest: {shards: " + secret + "}",
      "ingest: {listen: " + secret + "}",
      "ingest: {body_max: whsec_" + word + "}",
      "ingest: {body_max: 12345678901234567}\nrelay: {unknown_instance_wait: sk_" + word + "}",
      "seal: {keys: [{id: a, kee: " + word + "}]}",
      "control: {organizations: [{id: 1, secrt: " + word + "}]}",
      "providers: {box: {client_secrett: " + word + "}}",
      "instances: [{id: 1, element: box, configuration: {event.notification.signature.key: [" +
          word + "]}}]",
      "sources: {box: {keyz: [" + word + "]}}",
      "'Authorization: Bearer " + word + "': x",
      "ingest: {public_url: 'https://u:" + word + "@a.example'}",
      "providers: {box: {api_url: 'https://" + word + "@a.example/2.0'}}",
      "ingest: {tls: {cert: a, key: \"-----BEGIN PRIVATE KEY-----\\n" + word + "\"}}",
      "ingest: {tls: {key: a, cert: \" \\n-----BEGIN PRIVATE KEY-----\\n" + word + "\"}}",
      "instances: [{id: 1, element: box, delivery: {client_cert: '-----BEGIN " + word + "'}}]",
      "instances: [{id: 1, element: box, delivery: {ca_file: '-----BEGIN " + word + "'}}]",
      "instances: [{id: 1, element: box, delivery: {headers: {'X-Key: " + word + "': x}}}]",
      "instances: [{id: 1, element: box, delivery: {headers: {'X-Key:" + word + "': x}}}]",
  };
  for (const std::string& row : rows) {
    const std::string message = told(row);
    EXPECT_FALSE(message.empty()) << row;
    EXPECT_EQ(message.find("unter2"), std::string::npos) << row << "\n" << message;
  }
}

// With its place in the file, which the service that would refuse it at its start does not know.
TEST(ConfigErrors, NameTheKeyThatIsNoBase64WhereTheSchemeAsksForIt) {
  const std::string text =
      "instances:\n- id: 1\n  element: box\n  delivery: {signature: standard}\n"
      "  configuration:\n"
      "    event.notification.enabled: true\n"
      "    event.notification.callback.url: https://a.example/\n"
      "    event.notification.signature.key: ";
  for (const char* key : {"whsec_planted!!", "planted-3f9c!", "whsec_whsec_cGxhbnRlZA=="}) {
    const std::string message = told(text + key);
    EXPECT_NE(message.find("signature.key: a key of this scheme is base64"), std::string::npos)
        << message;
    EXPECT_EQ(message.find("planted"), std::string::npos) << message;
  }
}

TEST(ConfigErrors, NameTheMisspeltKeyBesideTheOneThatIsMissing) {
  const std::string message = told(
      "instances:\n- id: 1\n  element: box\n  configuration:\n"
      "    event.notification.enabled: true\n"
      "    event.notification.callback.ulr: https://a.example/\n");
  EXPECT_NE(message.find("event.notification.callback.url: required"), std::string::npos)
      << message;
  EXPECT_NE(message.find("event.notification.callback.ulr looks like it"), std::string::npos)
      << message;
}

TEST(ConfigWarnings, NameFurtherKeysThatLookLikeKnownOnes) {
  ConfigInput input;
  input.text =
      "instances:\n- id: 1\n  element: box\n  configuration:\n"
      "    event.notification.callback.url: https://a.example/\n"
      "    event.notification.signature.kye: s3cret\n"
      "    Oauth.User.Id: 5\n    signature.key: x1\n"
      "    event.vendor.tokn: s3cret\n    event.vendor.signature.key.second: s3cret\n"
      "    event.vendor.type: webhooks\n    event.notification.subscription.id: 7\n";
  const auto settings = load_settings(input);
  const std::vector<std::string>& warnings = settings->config.warnings;
  ASSERT_EQ(warnings.size(), 5U);
  std::string all;
  for (const std::string& each : warnings) all += each + "\n";
  EXPECT_NE(all.find("configuration:6:5: instances[0].configuration.event.notification.signature."
                     "kye: is kept but means nothing here, did you mean "
                     "event.notification.signature.key?"),
            std::string::npos)
      << all;
  for (const char* known :
       {"oauth.user.id", "event.vendor.token", "event.vendor.signature.key.secondary"}) {
    EXPECT_NE(all.find("did you mean " + std::string(known) + "?"), std::string::npos) << all;
  }
  EXPECT_EQ(all.find("s3cret"), std::string::npos) << all;
}

TEST(ConfigWarnings, NameAnInstanceOfAnElementThatNoSourceTakes) {
  ConfigInput input;
  const std::string instances = "instances:\n- {id: 1, element: github}\n- {id: 2, element: box}\n";
  input.text = "sources: {box: {keys: [a]}}\n" + instances;
  const std::vector<std::string> warnings = load_settings(input)->config.warnings;
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_EQ(warnings.front(),
            "configuration:3:11: instances[0].element: sources has no github, so ingest takes no "
            "event of it");
  input.text = instances;  // a file of the relay alone
  EXPECT_TRUE(load_settings(input)->config.warnings.empty());
}

TEST(ConfigErrors, PollingIsRefusedByItsKeys) {
  const std::string head = "instances:\n- id: 1\n  element: box\n  configuration:\n    ";
  EXPECT_NE(told(head + "event.vendor.type: polling\n")
                .find("5:5: instances[0].configuration.event.vendor.type: polling is not offered"),
            std::string::npos);
  EXPECT_NE(told(head + "event.vendor.type: pooling\n")
                .find("event.vendor.type: is not one of webhook, webhooks"),
            std::string::npos);
  for (const char* line :
       {"event.poller.refresh_interval: 15\n", "event.poller.configuration: '{}'\n"}) {
    EXPECT_NE(told(head + line).find("polling is not offered"), std::string::npos) << line;
  }
}

TEST(ConfigErrors, JudgeTheAdminListenerOfEachService) {
  EXPECT_NE(told("relay: {admin: {open: [status]}}").find("relay.admin.open[0]: "),
            std::string::npos);
  ConfigInput input;
  input.text =
      "admin: {listen: '127.0.0.1:1', hosts: [both], open: [metrics]}\n"
      "relay: {admin: {listen: '127.0.0.1:2', hosts: [relay-0]}}\n";
  const auto settings = load_settings(input);
  const AdminConfig ingest = admin_of(settings->config, "ingest");
  EXPECT_EQ(ingest.listen, "127.0.0.1:1");
  EXPECT_EQ(ingest.hosts, std::vector<std::string>{"both"});
  const AdminConfig relay = admin_of(settings->config, "relay");
  EXPECT_EQ(relay.listen, "127.0.0.1:2");
  EXPECT_EQ(relay.hosts, std::vector<std::string>{"relay-0"});
  EXPECT_EQ(relay.open, std::vector<std::string>{"metrics"});
}

TEST(ConfigErrors, TellAFileThatIsMissing) {
  ConfigInput input;
  for (const char* path : {"/no/such/c.yaml", "/"}) {
    input.path = path;
    try {
      (void)load_settings(input);
      FAIL() << path;
    } catch (const ConfigError& error) {
      const std::string message = error.what();
      EXPECT_TRUE(message.starts_with(std::string("cannot read the configuration ") + path))
          << message;
    }
  }
}

TEST(ConfigErrors, DoNotRepeatWhatFollowsFromAnother) {
  const std::string message = told("sources: {box: {keys: [{env: NOPE}]}}");
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

}  // namespace
}  // namespace eventrelay
