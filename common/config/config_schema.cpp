#include "common/config/config_schema.hpp"

#include <algorithm>
#include <array>

#include "common/config/callback_url.hpp"
#include "common/config/config.hpp"
#include "common/config/config_control_schema.hpp"
#include "common/config/config_fields.hpp"
#include "common/config/config_instances_schema.hpp"
#include "common/config/config_rules.hpp"
#include "common/config/config_units.hpp"

namespace eventrelay::config {

template <>
struct Words<LogLevel> {
  static constexpr std::array<std::string_view, 4> kWords{"debug", "info", "warn", "error"};
};
template <>
struct Words<AttemptsLog> {
  static constexpr std::array<std::string_view, 3> kWords{"failures", "all", "none"};
};
template <>
struct Words<LogFormat> {
  static constexpr std::array<std::string_view, 3> kWords{"auto", "json", "text"};
};

namespace {

constexpr double kKiB = 1024;
constexpr double kMiB = 1024 * kKiB;
constexpr double kGiB = 1024 * kMiB;
constexpr std::array<std::string_view, 2> kRegistryWords{"file", "topic"};

bool kafka_secret(std::string_view key) {
  return key.find("password") != std::string_view::npos ||
         key.find("secret") != std::string_view::npos ||
         key.find("private.key") != std::string_view::npos ||
         key.find("passphrase") != std::string_view::npos || key == "ssl.key.pem" ||
         key == "ssl_key" || key == "sasl.oauthbearer.config" || key == "sasl.jaas.config";
}

// Each `[scheme://]host[:port]` of the list; the client library would take a wrong number modulo
// 65536, and an address of IPv6 without brackets has colons of its own.
std::string broker_problem(std::string_view brokers) {
  if (brokers.find('@') != std::string_view::npos) {
    return "must not hold a user name or password; that is kafka.sasl.username and .password";
  }
  for (;;) {
    const std::size_t comma = brokers.find(',');
    const std::string_view broker = brokers.substr(0, comma);
    const std::size_t colon = broker.rfind(':');
    const std::size_t bracket = broker.rfind(']');
    const bool bare_v6 = broker.find(':') != colon && bracket == std::string_view::npos &&
                         broker.find("://") == std::string_view::npos;
    const bool has_port = colon != std::string_view::npos && !bare_v6 &&
                          (bracket == std::string_view::npos || colon > bracket) &&
                          !broker.substr(colon).starts_with("://");
    std::string_view port = has_port ? broker.substr(colon + 1) : std::string_view("1");
    while (port.ends_with(' ')) port.remove_suffix(1);
    if (!parse_port(port)) return "holds a port that is not 1..65535";
    if (comma == std::string_view::npos) return {};
    brokers.remove_prefix(comma + 1);
  }
}

std::string kafka_problem(std::string_view key, std::string_view value) {
  if (!topic_problem(key).empty()) return "is not the name of a librdkafka property";
  if (value.find('\0') != std::string_view::npos) return "must not hold a zero byte";
  if (key == "bootstrap.servers" && value.empty()) return "must name a broker as host:port";
  if (key == "bootstrap.servers" || key == "metadata.broker.list") return broker_problem(value);
  return {};
}

std::string open_problem(std::string_view word) {
  return word == "metrics" ? std::string{} : "is not a thing that may be opened: metrics";
}

std::string host_name_problem(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  };
  if (name.empty() || name.size() > 253) return "must have 1..253 characters";
  if (!std::all_of(name.begin(), name.end(), fits)) {
    return "must be a host name without a scheme, port or path";
  }
  return {};
}

const Schema& kafka_schema() {
  static const Schema schema{
      {},
      Open{"<property>",
           "Any librdkafka property, passed through; its name is checked when the handle is made.",
           512, Effect::Restart, kafka_secret, kafka_problem,
           [](void* owner, const std::string& key, OpenValue&& value) {
             KafkaConfig& kafka = *static_cast<KafkaConfig*>(owner);
             if (value.secret) {
               kafka.secrets[key] = Secret(std::move(value.text));
             } else {
               kafka.properties[key] = std::move(value.text);
             }
           },
           [](const void* owner) {
             const KafkaConfig& kafka = *static_cast<const KafkaConfig*>(owner);
             std::map<std::string, OpenValue> all;
             for (const auto& [key, value] : kafka.properties) all[key] = {value, false};
             for (const auto& [key, value] : kafka.secrets) {
               all[key] = {std::string(value.reveal()), true};
             }
             return all;
           }}};
  return schema;
}

const Schema& topics_schema() {
  static const Schema schema{{
      field<&TopicsConfig::prefix>({.key = "prefix",
                                    .kind = Kind::Text,
                                    .sentence = "Start of the name of every topic.",
                                    .low = 0,
                                    .high = 100,
                                    .effect = Effect::Restart,
                                    .rule = "letters, digits and . _ -",
                                    .problem = topic_problem}),
      field<&TopicsConfig::partitions>({.key = "partitions",
                                        .kind = Kind::Number,
                                        .sentence = "Partitions of a topic that is created.",
                                        .low = 1,
                                        .high = 10000,
                                        .effect = Effect::Restart}),
      field<&TopicsConfig::replication_factor>({.key = "replication_factor",
                                                .kind = Kind::Number,
                                                .sentence = "Copies of a topic that is created.",
                                                .low = 1,
                                                .high = 10,
                                                .effect = Effect::Restart}),
      field<&TopicsConfig::create>({.key = "create",
                                    .kind = Kind::Boolean,
                                    .sentence = "Create the topics that are missing at start.",
                                    .effect = Effect::Restart}),
  }};
  return schema;
}

const Schema& retry_schema() {
  static const Schema schema{{
      delays<&RetryConfig::delays, &RetryConfig::profile>(
          {.key = "delays",
           .sentence = "Wait before each further attempt, one delay topic each; or the profile ce "
                       "(8s 64s .. 9h after the first failure) or ce-legacy (4s 16s .. 73h).",
           .low = 1,
           .high = 12,
           .effect = Effect::Restart,
           .rule = "ascending, each 10ms..7d"}),
      field<&RetryConfig::jitter>(
          {.key = "jitter",
           .kind = Kind::Real,
           .sentence = "Share of a wait by which it is varied at random, either way; the profiles "
                       "are kept to the second.",
           .low = 0,
           .high = 0.5}),
  }};
  return schema;
}

const Schema& detach_schema() {
  static const Schema schema{{
      field<&DetachConfig::after>(
          {.key = "after",
           .kind = Kind::Number,
           .sentence = "Unfinished events of one subscription before its partition is read no "
                       "further, or it is detached if others wait behind it: the log itself is its "
                       "queue then.",
           .low = 1,
           .high = 1'000'000}),
      field<&DetachConfig::blocked_max>(
          {.key = "blocked_max",
           .kind = Kind::Number,
           .sentence = "Blocked objects of an ordered subscription before it is detached whole.",
           .low = 1,
           .high = 1'000'000}),
      field<&DetachConfig::sweep_interval>({.key = "sweep_interval",
                                            .kind = Kind::Duration,
                                            .sentence = "Least time between two catch-up reads.",
                                            .low = 100,
                                            .high = kHour}),
  }};
  return schema;
}

const Schema& log_schema() {
  static const Schema schema{{
      field<&LogConfig::level>({.key = "level",
                                .kind = Kind::Word,
                                .sentence = "Lines below this level are not written.",
                                .words = Words<LogLevel>::kWords}),
      field<&LogConfig::format>(
          {.key = "format",
           .kind = Kind::Word,
           .sentence = "JSON lines or text; auto writes text on a terminal, JSON elsewhere.",
           .words = Words<LogFormat>::kWords}),
  }};
  return schema;
}

const Schema& admin_schema() {
  static const Schema schema{{
      field<&AdminConfig::listen>(
          {.key = "listen",
           .kind = Kind::Text,
           .sentence = "Address of health, metrics, status and reload; port 0 lets the kernel "
                       "choose.",
           .low = 1,
           .effect = Effect::Restart,
           .rule = "host:port",
           .problem = listen_problem,
           .shown_default = "127.0.0.1:9464 (ingest), 127.0.0.1:9465 (relay)"}),
      field<&AdminConfig::token>(
          {.key = "token_file",
           .kind = Kind::SecretFile,
           .sentence = "File with the bearer token of the admin listener; without it only probes "
                       "are open when it does not listen on loopback."}),
      field<&AdminConfig::hosts>(
          {.key = "hosts",
           .kind = Kind::Texts,
           .sentence = "Names by which clients may call the admin listener, beside addresses and "
                       "localhost.",
           .low = 0,
           .high = 100,
           .rule = "a host name without a port",
           .problem = host_name_problem}),
      field<&AdminConfig::open>({.key = "open",
                                 .kind = Kind::Texts,
                                 .sentence = "What needs no token: metrics.",
                                 .low = 0,
                                 .high = 1,
                                 .rule = "metrics",
                                 .problem = open_problem}),
  }};
  return schema;
}

const Schema& tls_schema() {
  static const Schema schema{{
      field<&TlsServerConfig::cert>({.key = "cert",
                                     .kind = Kind::Text,
                                     .sentence = "PEM file with the certificate chain.",
                                     .low = 1,
                                     .high = 4096,
                                     .effect = Effect::Restart,
                                     .problem = file_problem}),
      field<&TlsServerConfig::key>({.key = "key",
                                    .kind = Kind::Text,
                                    .sentence = "PEM file with the private key.",
                                    .low = 1,
                                    .high = 4096,
                                    .effect = Effect::Restart,
                                    .problem = file_problem}),
  }};
  return schema;
}

const Schema& ingest_schema() {
  static const Schema schema{{
      field<&IngestConfig::listen>({.key = "listen",
                                    .kind = Kind::TextOrTexts,
                                    .sentence = "Public address, or a list of them.",
                                    .low = 1,
                                    .high = 16,
                                    .effect = Effect::Restart,
                                    .rule = "host:port",
                                    .problem = listen_problem}),
      field<&IngestConfig::shards>({.key = "shards",
                                    .kind = Kind::Number,
                                    .sentence = "Threads that serve; 0 is one per core.",
                                    .low = 0,
                                    .high = 256,
                                    .effect = Effect::Restart}),
      field<&IngestConfig::base_path>({.key = "base_path",
                                       .kind = Kind::Text,
                                       .sentence = "Path above /events/<element>.",
                                       .low = 2,
                                       .high = 200,
                                       .rule = "begins with /, does not end with it",
                                       .problem = path_problem}),
      field<&IngestConfig::body_max>({.key = "body_max",
                                      .kind = Kind::Size,
                                      .sentence = "Largest body; a larger one is answered 413.",
                                      .low = kKiB,
                                      .high = 32 * kMiB}),
      object<&IngestConfig::tls>({.key = "tls", .sentence = "Serve HTTPS on the public address."},
                                 tls_schema),
      field<&IngestConfig::ack_timeout>(
          {.key = "ack_timeout",
           .kind = Kind::Duration,
           .sentence = "An event that Kafka has not acknowledged by then is answered 503.",
           .low = 100,
           .high = kMinute}),
      field<&IngestConfig::memory_max>(
          {.key = "memory_max",
           .kind = Kind::Size,
           .sentence = "Bytes for bodies and the producer queue, over all shards.",
           .low = 4 * kMiB,
           .high = 64 * kGiB,
           .effect = Effect::Restart}),
      field<&IngestConfig::drain_delay>(
          {.key = "drain_delay",
           .kind = Kind::Duration,
           .sentence = "Goes on accepting that long after SIGTERM, until balancers have noticed.",
           .low = 0,
           .high = 5 * kMinute}),
      field<&IngestConfig::chunked>(
          {.key = "chunked",
           .kind = Kind::Boolean,
           .sentence = "Take Transfer-Encoding: chunked; otherwise it is answered 411."}),
      field<&IngestConfig::public_url>(
          {.key = "public_url",
           .kind = Kind::Text,
           .sentence = "Scheme, host and port under which providers reach ingest; event URLs are "
                       "made of it. Required with control.enabled.",
           .low = 0,
           .high = 2048,
           .rule = "an http or https URL without a path",
           .problem = origin_problem}),
      field<&IngestConfig::connections_max>(
          {.key = "connections_max",
           .kind = Kind::Number,
           .sentence = "Client connections at once; 0 is 65536, or what descriptors allow less 64.",
           .low = 0,
           .high = 1'000'000,
           .effect = Effect::Restart}),
      field<&IngestConfig::handshakes_max>(
          {.key = "handshakes_max",
           .kind = Kind::Number,
           .sentence = "TLS handshakes at once; one more cuts the oldest of the address that has "
                       "most.",
           .low = 1,
           .high = 65536,
           .effect = Effect::Restart}),
      object<&IngestConfig::admin>(
          {.key = "admin",
           .sentence = "The admin listener of ingest alone, where one file serves both services."},
          admin_schema),
  }};
  return schema;
}

const Schema& relay_schema() {
  static const Schema schema{{
      field<&RelayConfig::group>({.key = "group",
                                  .kind = Kind::Text,
                                  .sentence = "Kafka consumer group of the relays.",
                                  .low = 1,
                                  .high = 200,
                                  .effect = Effect::Restart,
                                  .problem = plain_problem}),
      field<&RelayConfig::shards>({.key = "shards",
                                   .kind = Kind::Number,
                                   .sentence = "Threads that deliver; 0 is one per core.",
                                   .low = 0,
                                   .high = 256,
                                   .effect = Effect::Restart}),
      field<&RelayConfig::memory_max>(
          {.key = "memory_max",
           .kind = Kind::Size,
           .sentence = "Bytes for events that wait or are in flight, over all shards.",
           .low = 4 * kMiB,
           .high = 64 * kGiB,
           .effect = Effect::Restart}),
      field<&RelayConfig::inflight_max>({.key = "inflight_max",
                                         .kind = Kind::Number,
                                         .sentence = "Requests in flight per shard.",
                                         .low = 1,
                                         .high = 65536,
                                         .effect = Effect::Restart}),
      field<&RelayConfig::allow_private_addresses>(
          {.key = "allow_private_addresses",
           .kind = Kind::Boolean,
           .sentence = "Deliver to private and loopback addresses and to any port; for "
                       "development only."}),
      field<&RelayConfig::drain_timeout>(
          {.key = "drain_timeout",
           .kind = Kind::Duration,
           .sentence = "Longest drain after SIGTERM; requests in flight have one second of it.",
           .low = 0,
           .high = 10 * kMinute,
           .effect = Effect::Restart}),
      field<&RelayConfig::attempts_log>(
          {.key = "attempts_log",
           .kind = Kind::Word,
           .sentence = "Which attempts get a line in the attempts topic: failures (and the success "
                       "after them), all or none.",
           .words = Words<AttemptsLog>::kWords}),
      field<&RelayConfig::unknown_instance_wait>(
          {.key = "unknown_instance_wait",
           .kind = Kind::Duration,
           .sentence = "An event of an instance that the relay does not know waits that long for "
                       "it to come, then it goes to the dead letters.",
           .low = 0,
           .high = kDay}),
      object<&RelayConfig::admin>(
          {.key = "admin",
           .sentence =
               "The admin listener of the relay alone, where one file serves both services."},
          admin_schema),
  }};
  return schema;
}

std::vector<Row> root_rows() {
  return {
      field<&Config::version>({.key = "version",
                               .kind = Kind::Number,
                               .sentence = "Version of this format.",
                               .low = 1,
                               .high = 1,
                               .effect = Effect::Restart}),
      object<&Config::kafka>({.key = "kafka", .sentence = "The Kafka client."}, kafka_schema),
      object<&Config::topics>({.key = "topics", .sentence = "The topics."}, topics_schema),
      object<&Config::retry>({.key = "retry", .sentence = "Further attempts."}, retry_schema),
      object<&Config::detach>(
          {.key = "detach",
           .sentence = "Subscriptions that are detached while they do not keep up."},
          detach_schema),
      object<&Config::log>({.key = "log", .sentence = "Log lines on stderr."}, log_schema),
      object<&Config::admin>({.key = "admin", .sentence = "The admin listener."}, admin_schema),
      object<&Config::ingest>({.key = "ingest", .sentence = "The HTTP edge."}, ingest_schema),
      map<&Config::sources>({.key = "sources",
                             .sentence = "How webhooks of an element are verified.",
                             .low = 0,
                             .high = 1000,
                             .problem = name_problem},
                            source_schema),
      field<&Config::registry>({.key = "registry",
                                .kind = Kind::Word,
                                .sentence = "Where instances come from: this file or the topic.",
                                .effect = Effect::Restart,
                                .words = kRegistryWords}),
      list<&Config::instances>(
          {.key = "instances", .sentence = "The element instances.", .low = 0, .high = 100'000},
          instance_schema),
      object<&Config::relay>({.key = "relay", .sentence = "The delivery workers."}, relay_schema),
      object<&Config::control>({.key = "control", .sentence = "The control API."}, control_schema),
      object<&Config::seal>({.key = "seal", .sentence = "Master keys of the registry in Kafka."},
                            seal_schema),
      object<&Config::providers>(
          {.key = "providers", .sentence = "Where an element's own API lives."}, providers_schema),
  };
}

}  // namespace

const Schema& root_schema() {
  static const Schema schema{root_rows()};
  return schema;
}

bool looks_secret(std::string_view name) {
  const std::string lower = ascii_lower(name);
  constexpr std::array<std::string_view, 9> kWords{"password",   "secret",        "token",
                                                   "passphrase", "authorization", "cookie",
                                                   "api.key",    "api-key",       "apikey"};
  return std::any_of(kWords.begin(), kWords.end(),
                     [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

const Row* Schema::find(std::string_view key) const noexcept {
  const auto row =
      std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.key == key; });
  return row == rows.end() ? nullptr : &*row;
}

std::vector<std::chrono::milliseconds> retry_profile(std::string_view word) {
  // Offsets from the first failure are powers of 8 and of 4 seconds; a wait is their difference.
  std::int64_t factor = 0;
  if (word == "ce") factor = 8;
  if (word == "ce-legacy") factor = 4;
  std::vector<std::chrono::milliseconds> waits;
  const int steps = factor == 8 ? 5 : 9;
  std::int64_t before = 0;
  std::int64_t offset = 1;
  for (int i = 0; factor != 0 && i < steps; ++i) {
    offset *= factor;
    waits.emplace_back((offset - before) * 1000);
    before = offset;
  }
  return waits;
}

}  // namespace eventrelay::config
